"""Environment, expansion, downward API."""

from __future__ import annotations

import base64

import pytest

from k3py.kubelet.downward import UnresolvableField, changes_files, field_value, resource_value
from k3py.kubelet.environment import (
    ContainerConfigError,
    EnvironmentSources,
    make_environment,
    service_variables,
)
from k3py.kubelet.expansion import expand
from tests.support.kubelet import bound_pod, container


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$(A)", "1"),
        ("$$(A)", "$(A)"),
        ("$(B)", "$(B)"),
        ("x$(A)y$(A)", "x1y1"),
        ("$A", "$A"),
        ("$$$(A)", "$1"),
        ("$(A", "$(A"),
        ("a$", "a$"),
    ],
)
def test_references_expand_as_kubernetes_does(text, result):
    assert expand(text, {"A": "1"}) == result


def test_variables_see_those_before_them_and_win_over_env_from():
    one = container(
        env=[
            {"name": "A", "value": "$(K)"},
            {"name": "B", "value": "$(A)$(C)"},
            {"name": "C", "value": "c"},
            {"name": "K", "value": "own"},
        ],
        envFrom=[{"configMapRef": {"name": "m"}}],
    )
    sources = EnvironmentSources(config_maps={"m": {"data": {"K": "from"}}})
    assert make_environment(bound_pod(), one, sources) == {"K": "own", "A": "from", "B": "from$(C)", "C": "c"}


def test_a_missing_key_is_an_error_unless_optional():
    def one(optional):
        source = {"name": "s", "key": "k", "optional": optional}
        return container(env=[{"name": "A", "valueFrom": {"secretKeyRef": source}}])

    sources = EnvironmentSources(secrets={"s": {"data": {"x": base64.b64encode(b"v").decode()}}})
    assert make_environment(bound_pod(), one(True), sources) == {}
    with pytest.raises(ContainerConfigError, match="couldn't find key k in Secret default/s"):
        make_environment(bound_pod(), one(False), sources)


def test_services_without_links_are_only_the_api():
    services = [service("kubernetes", "default"), service("my-svc", "default")]
    found = make_environment(
        bound_pod(enableServiceLinks=False), container(), EnvironmentSources(services=services)
    )
    assert "KUBERNETES_SERVICE_HOST" in found
    assert "MY_SVC_SERVICE_HOST" not in found


def service(name, namespace):
    spec = {"clusterIP": "10.43.0.9", "ports": [{"name": "http", "port": 80}]}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def test_a_service_becomes_variables():
    assert service_variables(service("my-svc", "default")) == {
        "MY_SVC_SERVICE_HOST": "10.43.0.9",
        "MY_SVC_SERVICE_PORT": "80",
        "MY_SVC_SERVICE_PORT_HTTP": "80",
        "MY_SVC_PORT": "tcp://10.43.0.9:80",
        "MY_SVC_PORT_80_TCP": "tcp://10.43.0.9:80",
        "MY_SVC_PORT_80_TCP_PROTO": "tcp",
        "MY_SVC_PORT_80_TCP_PORT": "80",
        "MY_SVC_PORT_80_TCP_ADDR": "10.43.0.9",
    }


def test_headless_services_have_no_variables():
    headless = service("a", "default")
    headless["spec"]["clusterIP"] = "None"
    assert service_variables(headless) == {}


def test_the_downward_api_reads_fields_and_resources():
    pod = bound_pod(
        containers=[container(resources={"limits": {"memory": "64Mi"}, "requests": {"cpu": "150m"}})]
    )
    pod["metadata"]["labels"] = {"b": 'x"y', "a": "1"}
    assert field_value(pod, "metadata.labels['a']") == "1"
    assert field_value(pod, "metadata.labels") == 'a="1"\nb="x\\"y"'
    assert field_value(pod, "status.podIP", pod_ips=("10.1.1.1", "fd00::1")) == "10.1.1.1"
    with pytest.raises(UnresolvableField):
        field_value(pod, "status.nothing")

    def of(resource, divisor="0"):
        return resource_value(
            pod, {"containerName": "c", "resource": resource, "divisor": divisor}, {"cpu": "2"}
        )

    assert of("limits.memory") == "67108864"
    assert of("limits.memory", "1Mi") == "64"
    assert of("requests.cpu") == "1"
    assert of("requests.cpu", "1m") == "150"
    assert of("limits.cpu") == "2"
    assert of("requests.memory") == "0"


DOWNWARD = {"name": "v", "downwardAPI": {"items": []}}
PROJECTED = {"name": "v", "projected": {"sources": [{"secret": {"name": "s"}}, {"downwardAPI": {"items": []}}]}}


@pytest.mark.parametrize("volume", [DOWNWARD, PROJECTED], ids=["downwardAPI", "projected"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda pod: pod["metadata"].update(labels={"new": "1"}), True),
        (lambda pod: pod["metadata"].update(annotations={"new": "1"}), True),
        (lambda pod: pod["spec"]["containers"][0].update(resources={"limits": {"cpu": "1"}}), True),
        (lambda pod: pod["metadata"].update(resourceVersion="9"), False),
        (lambda pod: pod.update(status={"phase": "Running"}), False),
    ],
)
def test_volumes_are_written_again_when_what_they_show_of_the_pod_changes(volume, change, told):
    before, after = (bound_pod(volumes=[volume]) for _ in range(2))
    change(after)
    assert changes_files(before, after) is told


def test_pods_without_such_volumes_need_nothing():
    before, after = bound_pod(), bound_pod()
    after["metadata"]["labels"] = {"new": "1"}
    assert not changes_files(before, after)

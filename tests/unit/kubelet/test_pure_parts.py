"""QoS, DNS, hosts file, back-off, registry credentials, security context, admission, node status: each a few sharp cases."""

from __future__ import annotations

import base64

import orjson
import pytest

from k3py.kubelet.admission import pod_requests, reject_reason
from k3py.kubelet.backoff import Backoff
from k3py.kubelet.dns_config import ResolvConf, parse_resolv_conf, pod_dns
from k3py.kubelet.environment import ContainerConfigError
from k3py.kubelet.hosts_file import hosts_file
from k3py.kubelet.node_status import changed_parts
from k3py.kubelet.qos import (
    linux_resources,
    oom_score_adj,
    pod_cgroup,
    pod_resources,
    qos_class,
    shares,
    weight,
)
from k3py.kubelet.registry_auth import find_credentials, split_image, with_default_tag
from k3py.kubelet.security import container_security
from tests.support.kubelet import bound_pod, container

GUARANTEED = {"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "0.5", "memory": "64Mi"}}
GIB = 1 << 30


def pod_with(*resources, **spec):
    return bound_pod(
        containers=[container(f"c{n}", resources=one) for n, one in enumerate(resources)], **spec
    )


@pytest.mark.parametrize(
    ("resources", "kind"),
    [
        (({},), "BestEffort"),
        ((GUARANTEED,), "Guaranteed"),
        (({"limits": {"cpu": "1", "memory": "1Gi"}},), "Guaranteed"),
        (({"requests": {"cpu": "1"}},), "Burstable"),
        ((GUARANTEED, {}), "Burstable"),
        (({"limits": {"cpu": "1"}},), "Burstable"),
    ],
)
def test_qos_class(resources, kind):
    assert qos_class(pod_with(*resources)) == kind


def test_cgroups_lie_by_class():
    assert pod_cgroup(pod_with(GUARANTEED)) == "/kubepods/poduid-p"
    assert pod_cgroup(pod_with({}), "/k3py") == "/k3py/kubepods/besteffort/poduid-p"


def test_shares_and_weights():
    assert [shares(one) for one in (0, 1, 2, 500, 10**9)] == [2, 2, 2, 512, 262_144]
    assert [weight(one) for one in (2, 1024, 262_144)] == [1, 39, 10_000]


def test_linux_resources_of_a_container():
    pod = pod_with(GUARANTEED)
    assert linux_resources(pod, pod["spec"]["containers"][0], node_memory_bytes=GIB) == {
        "cpu_shares": 512,
        "oom_score_adj": -997,
        "cpu_quota": 50_000,
        "cpu_period": 100_000,
        "memory_limit_in_bytes": 64 << 20,
    }


def test_oom_scores():
    def score(resources):
        pod = pod_with(resources)
        return oom_score_adj(pod, pod["spec"]["containers"][0], node_memory_bytes=GIB)

    assert score({}) == 1000
    assert score({"requests": {"memory": "512Mi"}}) == 500
    assert score({"requests": {"memory": "1Gi"}}) == 3
    assert score({"requests": {"cpu": "1"}}) == 999


def test_a_pod_is_limited_only_when_every_container_is():
    assert pod_resources(pod_with(GUARANTEED, {}))["memory_bytes"] == 0
    assert pod_resources(pod_with(GUARANTEED, GUARANTEED))["memory_bytes"] == 128 << 20
    assert pod_resources(pod_with(GUARANTEED, GUARANTEED))["quota_us"] == 100_000


HOST = ResolvConf(("9.9.9.9",), ("corp",), ("timeout:1",))


def dns(**spec):
    return pod_dns(bound_pod(**spec), HOST, cluster_dns=("10.43.0.10",), cluster_domain="cluster.local")


def test_dns_policies():
    cluster = {
        "servers": ["10.43.0.10"],
        "searches": ["default.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp"],
        "options": ["ndots:5"],
    }
    assert dns() == cluster
    assert dns(hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet") == cluster
    node = {"servers": ["9.9.9.9"], "searches": ["corp"], "options": ["timeout:1"]}
    assert dns(dnsPolicy="Default") == node
    assert dns(hostNetwork=True) == node
    own = {
        "nameservers": ["1.1.1.1"],
        "searches": ["x"],
        "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
    }
    assert dns(dnsPolicy="None", dnsConfig=own) == {
        "servers": ["1.1.1.1"],
        "searches": ["x"],
        "options": ["ndots:2", "edns0"],
    }


def test_resolv_conf_is_read():
    text = "# x\nnameserver 1.1.1.1\nsearch a b\noptions ndots:2 edns0\nnameserver ::1\n"
    assert parse_resolv_conf(text) == ResolvConf(("1.1.1.1", "::1"), ("a", "b"), ("ndots:2", "edns0"))


def test_the_hosts_file_names_the_pod_and_its_aliases():
    pod = bound_pod(subdomain="sub", hostAliases=[{"ip": "1.2.3.4", "hostnames": ["a", "b"]}])
    text = hosts_file(pod, pod_ips=("10.42.0.5",), cluster_domain="cluster.local")
    assert text.startswith("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
    assert "10.42.0.5\tp.sub.default.svc.cluster.local\tp\n" in text
    assert text.endswith("1.2.3.4\ta\tb\n")


def test_back_off_doubles_up_to_its_end_and_is_forgotten():
    backoff = Backoff()
    assert backoff.until_s("k", 100.0) == 100.0
    delays = []
    for _ in range(7):
        backoff.advance("k", 100.0)
        delays.append(backoff.until_s("k", 100.0) - 100.0)
    assert delays == [10, 20, 40, 80, 160, 300, 300]
    assert backoff.until_s("k", 100.0 + 601) == 701.0
    backoff.advance("k", 800.0)
    assert backoff.delay_s("k") == 10


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("busybox", ("docker.io", "library/busybox")),
        ("a/b:1", ("docker.io", "a/b")),
        ("reg.io:5000/a/b:1@sha256:0", ("reg.io:5000", "a/b")),
        ("localhost/x", ("localhost", "x")),
    ],
)
def test_images_name_a_registry(image, parts):
    assert split_image(image) == parts


def test_a_tag_is_added_where_none_is():
    assert with_default_tag("reg:5000/a") == "reg:5000/a:latest"
    assert with_default_tag("a:1") == "a:1"


def test_the_longest_registry_entry_wins():
    auths = {
        "reg.io": {"username": "u", "password": "p"},
        "https://reg.io/team": {"auth": base64.b64encode(b"t:s:x").decode()},
        "*.other.io": {"username": "w"},
    }
    secret = {"data": {".dockerconfigjson": base64.b64encode(orjson.dumps({"auths": auths})).decode()}}
    assert [one["username"] for one in find_credentials("reg.io/team/app:1", [secret])] == ["t", "u"]
    assert find_credentials("reg.io/team/app:1", [secret])[0]["password"] == "s:x"
    assert [one["username"] for one in find_credentials("a.other.io/x", [secret])] == ["w"]
    assert find_credentials("docker.io/x/y", [secret]) == []


def security(own, *, of_pod=None, image_uid=0, image_user=""):
    pod = bound_pod(securityContext=of_pod or {})
    return container_security(pod, container(securityContext=own), image_uid=image_uid, image_user=image_user)


def test_a_containers_context_wins_over_the_pods():
    found = security(
        {"runAsUser": 5, "allowPrivilegeEscalation": False}, of_pod={"runAsUser": 1, "fsGroup": 9}
    )
    assert found["run_as_user"] == {"value": 5}
    assert found["supplemental_groups"] == [9]
    assert found["no_new_privs"]
    assert "/proc/kcore" in found["masked_paths"]


def test_privileged_containers_are_not_confined():
    found = security({"privileged": True}, of_pod={"seccompProfile": {"type": "RuntimeDefault"}})
    assert found["seccomp"] == {"profile_type": "Unconfined"}
    assert "masked_paths" not in found


@pytest.mark.parametrize(("uid", "user"), [(0, ""), (None, "app")])
def test_run_as_non_root_is_checked(uid, user):
    with pytest.raises(ContainerConfigError, match=r"non-root|non-numeric|run as root"):
        security({"runAsNonRoot": True}, image_uid=uid, image_user=user)
    assert security({"runAsNonRoot": True, "runAsUser": 3}, image_uid=uid, image_user=user)


NODE = {"metadata": {"labels": {"disk": "ssd"}}, "status": {"allocatable": {"cpu": "1", "memory": "1Gi"}}}


def test_admission_names_what_is_missing():
    def reason(pod, *others, node=NODE, max_pods=10):
        found = reject_reason(pod, node, others, max_pods=max_pods)
        return found and found[0]

    small = pod_with({"requests": {"cpu": "600m"}})
    assert reason(small) is None
    assert reason(small, small) == "OutOfcpu"
    assert reason(bound_pod(nodeSelector={"disk": "hdd"})) == "NodeAffinity"
    assert reason(bound_pod(), bound_pod("q"), max_pods=1) == "OutOfpods"
    port = [{"containerPort": 80, "hostPort": 8080}]
    ported = bound_pod(containers=[container(ports=port)])
    assert reason(ported, ported) == "NodePorts"
    elsewhere = bound_pod(containers=[container(ports=[{**port[0], "hostIP": "10.0.0.9"}])])
    other = bound_pod(containers=[container(ports=[{**port[0], "hostIP": "10.0.0.8"}])])
    assert reason(elsewhere, other) is None
    assert reason(elsewhere, ported) == "NodePorts"


def test_a_pod_asks_for_the_most_of_its_phases():
    init = container("i", resources={"requests": {"cpu": "2"}})
    sidecar = container("s", resources={"requests": {"cpu": "500m"}}, restartPolicy="Always")
    pod = pod_with({"requests": {"cpu": "1"}}, initContainers=[sidecar, init])
    assert pod_requests(pod)["cpu"] == 2500


def test_heartbeats_alone_are_no_change():
    one = {"type": "Ready", "status": "True", "lastHeartbeatTime": "a", "reason": "r"}
    assert changed_parts({"conditions": [one]}, {"conditions": [{**one, "lastHeartbeatTime": "b"}]}) == {}
    assert changed_parts({"conditions": [one]}, {"conditions": [{**one, "status": "False"}]})["conditions"]

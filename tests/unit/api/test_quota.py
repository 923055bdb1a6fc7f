"""What objects use of quotas (api-machinery §4.10)."""

import pytest

from k3py.api.quota import Usage, covers, usage_of


def used(plural, obj, *names, group=""):
    return usage_of(group, plural, obj).shown(names)


def pod(*containers, phase="Running", **spec):
    return {
        "metadata": {"name": "p"},
        "spec": {"containers": list(containers), **spec},
        "status": {"phase": phase},
    }


def container(**resources):
    return {"name": "c", "resources": resources}


def test_a_pod_uses_its_containers_or_its_largest_init_container():
    one = pod(
        container(requests={"cpu": "100m", "memory": "64Mi"}),
        container(requests={"cpu": "200m", "memory": "64Mi"}, limits={"cpu": "1"}),
        initContainers=[container(requests={"cpu": "250m", "memory": "1Gi"})],
        overhead={"cpu": "10m"},
    )
    names = ("pods", "cpu", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
    assert used("pods", one, *names) == {
        "pods": "1",
        "cpu": "310m",
        "requests.cpu": "310m",
        "requests.memory": "1Gi",
        "limits.cpu": "1010m",
        "limits.memory": "0",
    }


def test_sidecars_run_beside_containers_and_later_init_containers():
    sidecar = {**container(requests={"cpu": "1"}), "restartPolicy": "Always"}
    one = pod(container(requests={"cpu": "1"}), initContainers=[sidecar, container(requests={"cpu": "3"})])
    assert used("pods", one, "cpu") == {"cpu": "4"}


def test_an_ended_pod_counts_as_object_only():
    ended = pod(container(requests={"cpu": "1"}), phase="Succeeded")
    assert used("pods", ended, "pods", "cpu", "count/pods") == {"pods": "0", "cpu": "0", "count/pods": "1"}


def test_services_use_node_ports():
    spec = {"type": "LoadBalancer", "ports": [{"port": 1, "nodePort": 30001}, {"port": 2}]}
    names = ("services", "services.loadbalancers", "services.nodeports")
    assert list(used("services", {"metadata": {}, "spec": spec}, *names).values()) == ["1", "1", "2"]
    without = {**spec, "allocateLoadBalancerNodePorts": False}
    assert used("services", {"metadata": {}, "spec": without}, names[2]) == {"services.nodeports": "1"}


def test_claims_use_storage_of_their_class():
    claim = {
        "metadata": {},
        "spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "2Gi"}}},
    }
    names = ("requests.storage", "fast.storageclass.storage.k8s.io/requests.storage")
    assert set(used("persistentvolumeclaims", claim, *names).values()) == {"2Gi"}


def test_other_kinds_are_counted():
    assert used("jobs", {"metadata": {}}, "count/jobs.batch", group="batch") == {"count/jobs.batch": "1"}
    assert used("secrets", {"metadata": {}}, "secrets", "count/secrets") == {
        "secrets": "1",
        "count/secrets": "1",
    }


def test_usages_add_up():
    total = Usage()
    for _ in range(3):
        total.add_all(usage_of("", "pods", pod(container(requests={"cpu": "500m"}))))
    assert total.shown(["cpu", "pods"]) == {"cpu": "1500m", "pods": "3"}


@pytest.mark.parametrize(
    ("scope", "one", "expected"),
    [
        ({"scopes": ["BestEffort"]}, pod(container()), True),
        ({"scopes": ["NotBestEffort"]}, pod(container()), False),
        ({"scopes": ["Terminating"]}, pod(container(), activeDeadlineSeconds=5), True),
        ({"scopes": ["NotTerminating"]}, pod(container(), activeDeadlineSeconds=5), False),
        ({}, pod(container()), True),
    ],
)
def test_scopes_select_pods(scope, one, expected):
    assert covers({"spec": scope}, "", "pods", one) is expected
    assert covers({"spec": scope}, "", "services", {}) is (not scope)


@pytest.mark.parametrize(("operator", "expected"), [("In", True), ("NotIn", False), ("Exists", True)])
def test_a_scope_may_ask_for_priority_classes(operator, expected):
    term = {"scopeName": "PriorityClass", "operator": operator, "values": ["high"]}
    quota = {"spec": {"scopeSelector": {"matchExpressions": [term]}}}
    assert covers(quota, "", "pods", pod(container(), priorityClassName="high")) is expected

"""The life of pods: what is set at creation and what may change later (api-machinery.md §3.2)."""

from __future__ import annotations

import pytest

from k3py.api.kind import WriteContext
from k3py.api.kinds.core.pod.strategy import PodStrategy
from k3py.api.object import deep_copy
from k3py.api.user import User

CONTEXT = WriteContext(user=User(name="tester"), now="2026-01-02T03:04:05Z")
STRATEGY = PodStrategy()
CONTAINER = {"name": "c", "image": "c:1", "resources": {}}


def pod(**spec):
    return {
        "metadata": {"name": "p", "labels": {"x": "one"}},
        "spec": {"containers": [deep_copy(CONTAINER)], "restartPolicy": "Always", **spec},
    }


def created(**spec):
    obj = pod(**spec)
    STRATEGY.prepare_create(obj, CONTEXT)
    return obj


def faults(new, old):
    return sorted((one.reason.removeprefix("FieldValue"), one.path) for one in STRATEGY.validate_update(new, old))


@pytest.mark.parametrize(
    ("resources", "qos"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        (
            {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1000m", "memory": "1024Mi"}},
            "Guaranteed",
        ),
        ({"limits": {"cpu": "1"}}, "Burstable"),
    ],
)
def test_a_new_pod_is_pending_and_has_a_class_of_service(resources, qos):
    obj = created(containers=[{**CONTAINER, "resources": resources}])
    assert obj["status"] == {"phase": "Pending", "qosClass": qos}
    assert obj["metadata"]["generation"] == 1


def test_a_gated_pod_says_that_it_waits():
    (condition,) = created(schedulingGates=[{"name": "example.com/g"}])["status"]["conditions"]
    assert condition["reason"] == "SchedulingGated"
    assert condition["lastTransitionTime"] == CONTEXT.now


def test_label_keys_are_merged_into_selectors():
    constraint = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}, "matchLabelKeys": ["x", "y"]}
    obj = created(topologySpreadConstraints=[constraint])
    selector = obj["spec"]["topologySpreadConstraints"][0]["labelSelector"]
    assert selector["matchExpressions"] == [{"key": "x", "operator": "In", "values": ["one"]}]


def test_fields_of_features_that_are_off_are_dropped():
    obj = created(
        workloadRef={"name": "w"}, containers=[{**CONTAINER, "lifecycle": {"stopSignal": "SIGUSR1"}}]
    )
    assert "workloadRef" not in obj["spec"]
    assert "lifecycle" not in obj["spec"]["containers"][0]


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ({}, {"containers": [{**CONTAINER, "image": "c:2"}]}, []),
        ({}, {"activeDeadlineSeconds": 5}, []),
        ({"activeDeadlineSeconds": 5}, {"activeDeadlineSeconds": 6}, [("Invalid", "spec.activeDeadlineSeconds")]),
        ({}, {"tolerations": [{"key": "a", "operator": "Exists"}]}, []),
        ({}, {"hostname": "h"}, [("Forbidden", "spec")]),
        (
            {},
            {"containers": [CONTAINER, {**CONTAINER, "name": "d"}]},
            [("Forbidden", "spec.containers")],
        ),
        (
            {},
            {"schedulingGates": [{"name": "a/b"}]},
            [("Forbidden", "spec.schedulingGates[0].name")],
        ),
        ({"terminationGracePeriodSeconds": -1}, {"terminationGracePeriodSeconds": 1}, []),
        (
            {"terminationGracePeriodSeconds": 5},
            {"terminationGracePeriodSeconds": 1},
            [("Forbidden", "spec")],
        ),
        (
            {"tolerations": [{"key": "a", "operator": "Exists"}]},
            {"tolerations": []},
            [("Forbidden", "spec.tolerations")],
        ),
    ],
)
def test_only_a_few_fields_of_a_pod_may_change(before, after, wanted):
    assert faults(pod(**{**before, **after}), pod(**before)) == wanted


def test_a_gated_pod_may_be_narrowed_down_but_not_moved():
    gates = [{"name": "a/b"}]
    old = pod(schedulingGates=gates, nodeSelector={"disk": "ssd"})
    assert faults(pod(schedulingGates=gates, nodeSelector={"disk": "ssd", "zone": "a"}), old) == []
    assert faults(pod(schedulingGates=gates, nodeSelector={"disk": "hdd"}), old) == [
        ("Invalid", "spec.nodeSelector")
    ]


@pytest.mark.parametrize(
    ("spec", "status", "requested", "grace_s"),
    [
        ({}, {}, None, 0),
        ({"nodeName": "n"}, {}, None, 30),
        ({"nodeName": "n", "terminationGracePeriodSeconds": 5}, {}, None, 5),
        ({"nodeName": "n"}, {}, 2, 2),
        ({"nodeName": "n"}, {}, -3, 1),
        ({"nodeName": "n"}, {"phase": "Succeeded"}, 20, 0),
    ],
)
def test_a_pod_gets_time_to_end_when_a_node_runs_it(spec, status, requested, grace_s):
    obj = {**pod(**spec), "status": status}
    assert STRATEGY.graceful_delete_s(obj, requested) == grace_s


def test_the_status_keeps_the_class_of_service_and_the_owners():
    old = {**created(), "status": {"phase": "Pending", "qosClass": "BestEffort"}}
    new = deep_copy(old)
    new["status"] = {"phase": "Running"}
    new["metadata"]["ownerReferences"] = [{"name": "forged"}]
    new["metadata"]["labels"] = {"added": "1"}
    STRATEGY.prepare_status_update(new, old, CONTEXT)
    assert new["status"] == {"phase": "Running", "qosClass": "BestEffort"}
    assert "ownerReferences" not in new["metadata"]
    assert new["metadata"]["labels"] == {"added": "1"}


def test_a_container_that_ended_does_not_come_back():
    def with_state(state):
        return {**pod(restartPolicy="Never"), "status": {"containerStatuses": [{"name": "c", "state": state}]}}

    old = with_state({"terminated": {"exitCode": 1}})
    errors = STRATEGY.validate_status_update(with_state({"running": {}}), old)
    assert [one.path for one in errors] == ["status.containerStatuses[0].state"]
    assert STRATEGY.validate_status_update(deep_copy(old), old) == []


def test_addresses_of_a_pod_are_one_of_a_family():
    new = {**pod(), "status": {"podIPs": [{"ip": "10.1.1.1"}, {"ip": "10.1.1.2"}]}}
    assert [one.path for one in STRATEGY.validate_status_update(new, pod())] == ["status.podIPs"]
    new["status"]["podIPs"][1]["ip"] = "2001:db8::1"
    assert STRATEGY.validate_status_update(new, pod()) == []

"""The status of a pod out of what the runtime has."""

from __future__ import annotations

from typing import Any

import pytest

from k3py.kubelet.runtime_state import EMPTY
from k3py.kubelet.status import Observation, pod_status, status_patch
from k3py.kubelet.sync_plan import Waiting
from tests.support.kubelet import bound_pod, container
from tests.support.pod_records import NOW_S, ran, record, runs


def status(pod, have, **seen: Any):
    return pod_status(pod, Observation(record=have, now_s=NOW_S, node_ips=("10.0.0.1",), **seen))


def condition(document, kind):
    return next(one for one in document["conditions"] if one["type"] == kind)


def test_before_the_sandbox_the_pod_is_pending():
    found = status(bound_pod(), EMPTY)
    assert found["phase"] == "Pending"
    assert found["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert condition(found, "PodReadyToStartContainers")["status"] == "False"
    assert "podIP" not in found


def test_a_running_and_ready_pod():
    found = status(bound_pod(), record(runs("c")), started=frozenset({"c-0"}), ready=frozenset({"c-0"}))
    assert found["phase"] == "Running"
    assert found["podIPs"] == [{"ip": "10.42.0.5"}]
    assert found["containerStatuses"][0]["started"]
    assert condition(found, "Ready")["status"] == "True"
    assert "reason" not in condition(found, "Ready")


def test_a_readiness_gate_has_to_be_true():
    pod = bound_pod(readinessGates=[{"conditionType": "x"}])
    seen = {"started": frozenset({"c-0"}), "ready": frozenset({"c-0"})}
    found = status(pod, record(runs("c")), **seen)
    assert condition(found, "ContainersReady")["status"] == "True"
    assert condition(found, "Ready")["reason"] == "ReadinessGatesNotReady"
    pod["status"]["conditions"] = [{"type": "x", "status": "True"}]
    assert condition(status(pod, record(runs("c")), **seen), "Ready")["status"] == "True"


def test_a_crash_loop_shows_why_and_the_last_end():
    seen = {"waiting": {"c": Waiting("CrashLoopBackOff", "back-off")}}
    found = status(bound_pod(), record(ran("c", 3, attempt=1)), **seen)
    one = found["containerStatuses"][0]
    assert one["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    assert one["lastState"]["terminated"]["exitCode"] == 3
    assert one["restartCount"] == 1
    assert found["phase"] == "Running"


def test_a_restarted_container_keeps_its_last_end():
    found = status(bound_pod(), record(ran("c", 3), runs("c", attempt=1)))
    assert found["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 3


@pytest.mark.parametrize(("codes", "phase"), [((0, 0), "Succeeded"), ((0, 1), "Failed")])
def test_the_phase_of_a_finished_pod_waits_until_all_has_stopped(codes, phase):
    pod = bound_pod(containers=[container("a"), container("b")], restartPolicy="Never")
    have = record(ran("a", codes[0]), ran("b", codes[1]))
    assert status(pod, have)["phase"] == "Running"
    found = status(pod, have, stopped=True)
    assert found["phase"] == phase
    assert condition(found, "Ready")["status"] == "False"


def test_a_phase_that_is_final_stays():
    pod = bound_pod(restartPolicy="Never")
    pod["status"]["phase"] = "Failed"
    assert status(pod, record(runs("c")))["phase"] == "Failed"


def test_what_initialisation_waits_for_is_named():
    pod = bound_pod(initContainers=[container("i"), container("j")])
    found = status(pod, record(ran("i"), runs("j")))
    assert found["phase"] == "Pending"
    assert condition(found, "Initialized")["message"] == "containers with incomplete status: [j]"
    assert found["initContainerStatuses"][0]["ready"]
    assert found["containerStatuses"][0]["state"]["waiting"]["reason"] == "PodInitializing"


def test_a_failed_init_container_fails_a_pod_that_never_restarts():
    pod = bound_pod(initContainers=[container("i")], restartPolicy="Never")
    assert status(pod, record(ran("i", 1)), stopped=True)["phase"] == "Failed"


def test_a_deadline_fails_the_pod_once_it_has_stopped():
    seen = {"failed_reason": "DeadlineExceeded", "failed_message": "m"}
    assert status(bound_pod(), record(runs("c")), **seen)["phase"] == "Running"
    found = status(bound_pod(), record(ran("c", 137)), stopped=True, **seen)
    assert (found["phase"], found["reason"]) == ("Failed", "DeadlineExceeded")


def test_transition_times_change_only_with_the_value():
    pod = bound_pod()
    pod["status"] = status(pod, record(runs("c")))
    later = pod_status(pod, Observation(record=record(runs("c")), now_s=NOW_S + 50, node_ips=("10.0.0.1",)))
    assert condition(later, "Ready") == condition(pod["status"], "Ready")
    assert status_patch(pod["status"], later) == {}


def test_conditions_of_others_are_left_alone():
    pod = bound_pod()
    pod["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True"}]
    patch = status_patch(pod["status"], status(pod, record(runs("c"))))
    assert "DisruptionTarget" not in {one["type"] for one in patch["conditions"]}


def test_a_condition_that_became_true_loses_its_reason():
    pod = bound_pod()
    pod["status"] = status(pod, record(runs("c")))
    ready = status(pod, record(runs("c")), started=frozenset({"c-0"}), ready=frozenset({"c-0"}))
    changed = next(one for one in status_patch(pod["status"], ready)["conditions"] if one["type"] == "Ready")
    assert changed["reason"] is None
    assert changed["status"] == "True"


@pytest.mark.parametrize("field", ["podIPs", "hostIPs"])
def test_new_addresses_replace_old_ones(field):
    old = {field: [{"ip": "10.42.0.1"}]}
    assert status_patch(old, {field: [{"ip": "10.42.0.2"}]})[field] == [
        {"$patch": "replace"},
        {"ip": "10.42.0.2"},
    ]


def test_the_termination_message_is_shown():
    found = status(
        bound_pod(restartPolicy="Never"), record(ran("c", 1)), messages={"c-0": "bye"}, stopped=True
    )
    assert found["containerStatuses"][0]["state"]["terminated"]["message"] == "bye"


def test_a_pod_is_pending_until_all_its_containers_have_been_started():
    pod = bound_pod(containers=[container("a"), container("b")])
    assert status(pod, record(runs("a")))["phase"] == "Pending"
    assert status(pod, record(ran("a", 0)))["phase"] == "Pending"
    assert status(pod, record(runs("a"), runs("b")))["phase"] == "Running"


def test_a_container_whose_start_is_not_through_is_still_being_created():
    found = status(bound_pod(), record(runs("c")), starting=frozenset({"c-0"}))
    assert found["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert found["phase"] == "Pending"
    seen = {"started": frozenset({"c-0"}), "ready": frozenset({"c-0"})}
    found = status(bound_pod(), record(runs("c")), **seen)
    assert (found["phase"], condition(found, "Ready")["status"]) == ("Running", "True")

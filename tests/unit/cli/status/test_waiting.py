"""What waits, and for what."""

from k3py.cli.status.waiting import find_waiting

UID = "u1"


def pod(status, **metadata):
    base = {"name": "web", "namespace": "shop", "uid": UID, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"metadata": base | metadata, "spec": {"containers": [{"name": "c"}]}, "status": status}


def container(state, *, ready=False, last=None):
    return {"name": "c", "ready": ready, "state": state, "lastState": last or {}, "restartCount": 0}


def why(one, events=None):
    (found,) = find_waiting([one], [], events or {})
    return found.state, found.why


def test_what_runs_or_is_done_does_not_wait():
    running = pod({"phase": "Running", "containerStatuses": [container({"running": {}}, ready=True)]})
    assert find_waiting([running, pod({"phase": "Succeeded"})], [], {}) == []


def test_the_scheduler_says_why_a_pod_has_no_node():
    message = "0/1 nodes are available: 1 Insufficient cpu."
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    assert why(pod({"phase": "Pending", "conditions": [unscheduled]})) == ("Pending", message)


def test_a_container_that_waits_crashed_or_is_not_ready():
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image x"}}
    assert why(pod({"phase": "Pending", "containerStatuses": [container(waiting)]})) == (
        "ImagePullBackOff",
        "container c: Back-off pulling image x",
    )
    ended = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    crashed = container({"waiting": {"reason": "CrashLoopBackOff"}}, last=ended)
    assert why(pod({"phase": "Running", "containerStatuses": [crashed]})) == (
        "CrashLoopBackOff",
        "container c: OOMKilled, exit code 137",
    )
    unready = container({"running": {}})
    assert why(pod({"phase": "Running", "containerStatuses": [unready]}))[1] == "not ready: c"


def test_deletion_says_what_it_waits_for():
    deleted = "2026-01-02T00:00:00Z"
    assert why(pod({"phase": "Running"}, deletionTimestamp=deleted, deletionGracePeriodSeconds=30)) == (
        "Terminating",
        "its containers have 30 s to end",
    )
    assert "example.com/hold" in why(pod({"phase": "Running"}, deletionTimestamp=deleted, finalizers=["example.com/hold"]))[1]


def test_the_last_warning_tells_what_the_object_does_not():
    creating = container({"waiting": {"reason": "ContainerCreating"}})
    one = pod({"phase": "Pending", "containerStatuses": [creating]})
    assert why(one, {UID: "FailedMount: no such secret"}) == ("ContainerCreating", "FailedMount: no such secret")
    assert why(one) == ("ContainerCreating", "no reason is known yet")


def test_claims_wait_for_volumes_and_the_oldest_comes_first():
    claim = {"metadata": {"name": "data", "namespace": "a", "uid": "u2", "creationTimestamp": "2025-01-01T00:00:00Z"}, "status": {}}
    bound = {"metadata": {"name": "x", "namespace": "a", "uid": "u3"}, "status": {"phase": "Bound"}}
    found = find_waiting([pod({"phase": "Pending"})], [claim, bound], {"u2": "ProvisioningFailed: no class"})
    assert [(one.what, one.why) for one in found] == [
        ("persistentvolumeclaim/data", "ProvisioningFailed: no class"),
        ("pod/web", "no reason is known yet"),
    ]

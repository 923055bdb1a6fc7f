"""STATUS, READY and RESTARTS of pods (api-machinery.md §1.6)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from k3py.api.kinds.core.pod.columns import COLUMNS

NOW = datetime(2026, 1, 1, 1, 0, 0, tzinfo=UTC)
RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def waiting(reason):
    return {"waiting": {"reason": reason}}


def ended(**fields):
    return {"terminated": fields}


def container(name="c", state=None, *, ready=False, restarts=0, last=None, **more):
    last_state = {"terminated": {"finishedAt": last}} if last else {}
    return {
        "name": name,
        "state": state or {},
        "ready": ready,
        "restartCount": restarts,
        "lastState": last_state,
        **more,
    }


def pod(*statuses, phase="Running", init=(), init_statuses=(), conditions=(), deleted=False, **status):
    metadata = {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"}
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-01T00:30:00Z"
    return {
        "metadata": metadata,
        "spec": {"containers": [{"name": one["name"]} for one in statuses], "initContainers": list(init)},
        "status": {
            "phase": phase,
            "containerStatuses": list(statuses),
            "initContainerStatuses": list(init_statuses),
            "conditions": [{"type": kind, "status": "True"} for kind in conditions],
            **status,
        },
    }


def shown(obj):
    cells = {column.name: column.value(obj, NOW) for column in COLUMNS}
    return cells["Ready"], cells["Status"], cells["Restarts"]


INIT = [{"name": "i"}, {"name": "j"}]
SIDECAR = [{"name": "s", "restartPolicy": "Always"}]
LAST = "2026-01-01T00:55:00Z"


@pytest.mark.parametrize(
    ("obj", "cells"),
    [
        (pod(container(state=RUNNING, ready=True)), ("1/1", "Running", "0")),
        (pod(container(state=waiting("ContainerCreating")), phase="Pending"), ("0/1", "ContainerCreating", "0")),
        (
            pod(container(state=waiting("CrashLoopBackOff"), restarts=3, last=LAST)),
            ("0/1", "CrashLoopBackOff", "3 (5m ago)"),
        ),
        (pod(container(state=ended(exitCode=2))), ("0/1", "ExitCode:2", "0")),
        (pod(container(state=ended(exitCode=137, signal=9))), ("0/1", "Signal:9", "0")),
        (
            pod(container(state=ended(exitCode=0, reason="Completed")), phase="Succeeded"),
            ("0/1", "Completed", "0"),
        ),
        (
            pod(
                container("a", ended(exitCode=0, reason="Completed")),
                container("b", RUNNING, ready=True),
                conditions=["Ready"],
            ),
            ("1/2", "Running", "0"),
        ),
        (
            pod(container("a", ended(reason="Completed")), container("b", RUNNING, ready=True)),
            ("1/2", "NotReady", "0"),
        ),
        (pod(container(state=RUNNING, ready=True), deleted=True), ("1/1", "Terminating", "0")),
        (pod(container(), phase="Succeeded", deleted=True), ("0/1", "Succeeded", "0")),
        (pod(container(), deleted=True, reason="NodeLost"), ("0/1", "Unknown", "0")),
        (pod(container(), phase="Failed", reason="Evicted"), ("0/1", "Evicted", "0")),
        (
            pod(container(), init=INIT, init_statuses=[container("i", RUNNING)], phase="Pending"),
            ("0/1", "Init:0/2", "0"),
        ),
        (
            pod(
                container(),
                init=INIT,
                init_statuses=[container("i", ended(exitCode=0)), container("j", waiting("PodInitializing"))],
            ),
            ("0/1", "Init:1/2", "0"),
        ),
        (
            pod(
                container(),
                init=INIT,
                init_statuses=[container("i", waiting("CrashLoopBackOff"), restarts=2, last=LAST)],
            ),
            ("0/1", "Init:CrashLoopBackOff", "2 (5m ago)"),
        ),
        (
            pod(container(), init=INIT, init_statuses=[container("i", ended(exitCode=1, reason="Error"))]),
            ("0/1", "Init:Error", "0"),
        ),
        (
            pod(
                container(state=RUNNING, ready=True, restarts=1),
                init=SIDECAR,
                init_statuses=[container("s", RUNNING, ready=True, started=True, restarts=2)],
            ),
            ("2/2", "Running", "3"),
        ),
        (
            pod(
                container(state=RUNNING, ready=True),
                init=INIT,
                init_statuses=[container(one, ended(exitCode=0), restarts=4) for one in "ij"],
            ),
            ("1/1", "Running", "0"),
        ),
    ],
)
def test_a_pod_is_summarized_as_kubectl_shows_it(obj, cells):
    assert shown(obj) == cells


def test_gates_hold_a_pod_back():
    gated = pod(container(), phase="Pending")
    gated["status"]["conditions"] = [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]
    assert shown(gated)[1] == "SchedulingGated"

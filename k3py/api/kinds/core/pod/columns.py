"""The columns of pods; STATUS and RESTARTS are a summary of all containers.

Source: kubernetes/pkg/printers/internalversion/printers.go printPod v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, NONE, column, field_column, value_at
from k3py.api.duration import age_of
from k3py.api.kind import Column

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from k3py.jsontypes import JsonObject

_TERMINAL: Final = ("Succeeded", "Failed")


@dataclass(slots=True)
class _Restarts:
    count: int = 0
    last: str = ""  # RFC 3339 times in UTC sort as text

    def add(self, status: JsonObject) -> None:
        """Count the restarts of a container."""
        self.count += int(status.get("restartCount") or 0)
        finished = value_at(status, "lastState.terminated.finishedAt", "")
        self.last = max(self.last, finished)


@dataclass(slots=True)
class PodSummary:
    """What the containers of a pod add up to; `status` is e.g. Running, Init:0/1 or CrashLoopBackOff."""

    status: str
    ready: int
    total: int
    restarts: int
    last_restart: str


def summarize(pod: JsonObject) -> PodSummary:
    """Return the summary that kubectl shows."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    reason = status.get("reason") or status.get("phase") or ""
    conditions = status.get("conditions") or ()
    if any(
        one.get("type") == "PodScheduled" and one.get("reason") == "SchedulingGated" for one in conditions
    ):
        reason = "SchedulingGated"
    init_containers = spec.get("initContainers") or ()
    sidecars = {one["name"] for one in init_containers if one.get("restartPolicy") == "Always"}
    summary = PodSummary(reason, 0, len(spec.get("containers") or ()) + len(sidecars), 0, "")
    of_inits, of_sidecars = _Restarts(), _Restarts()
    initializing = _add_init_containers(
        summary,
        status.get("initContainerStatuses") or (),
        sidecars,
        len(init_containers),
        of_inits,
        of_sidecars,
    )
    restarts = of_inits
    if not initializing or _is_true(conditions, "Initialized"):
        restarts = of_sidecars
        _add_containers(summary, status, restarts)
    summary.restarts, summary.last_restart = restarts.count, restarts.last
    if (pod.get("metadata") or {}).get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            summary.status = "Unknown"
        elif status.get("phase") not in _TERMINAL:
            summary.status = "Terminating"
    return summary


def _add_init_containers(
    summary: PodSummary,
    statuses: Sequence[JsonObject],
    sidecars: set[str],
    count: int,
    restarts: _Restarts,
    sidecar_restarts: _Restarts,
) -> bool:
    """Say whether the pod is still initializing; the first init container that is not done gives the status."""
    for index, one in enumerate(statuses):
        restarts.add(one)
        is_sidecar = one.get("name") in sidecars
        if is_sidecar:
            sidecar_restarts.add(one)
        state = one.get("state") or {}
        terminated = state.get("terminated")
        if terminated and not terminated.get("exitCode"):
            continue
        if is_sidecar and one.get("started"):
            summary.ready += bool(one.get("ready"))
            continue
        waiting = (state.get("waiting") or {}).get("reason")
        if terminated:
            summary.status = f"Init:{_reason_of(terminated)}"
        elif waiting and waiting != "PodInitializing":
            summary.status = f"Init:{waiting}"
        else:
            summary.status = f"Init:{index}/{count}"
        return True
    return False


def _add_containers(summary: PodSummary, status: JsonObject, restarts: _Restarts) -> None:
    has_running = False
    for one in reversed(status.get("containerStatuses") or ()):
        restarts.add(one)
        state = one.get("state") or {}
        waiting = (state.get("waiting") or {}).get("reason")
        if waiting:
            summary.status = waiting
        elif state.get("terminated"):
            summary.status = _reason_of(state["terminated"])
        elif one.get("ready") and state.get("running") is not None:
            has_running = True
            summary.ready += 1
    if summary.status == "Completed" and has_running:
        summary.status = "Running" if _is_true(status.get("conditions") or (), "Ready") else "NotReady"


def _reason_of(terminated: JsonObject) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _is_true(conditions: Sequence[JsonObject], kind: str) -> bool:
    return any(one.get("type") == kind and one.get("status") == "True" for one in conditions)


def _ready(pod: JsonObject) -> str:
    summary = summarize(pod)
    return f"{summary.ready}/{summary.total}"


def _restarts(pod: JsonObject, now: datetime) -> str:
    summary = summarize(pod)
    if summary.restarts and summary.last_restart:
        return f"{summary.restarts} ({age_of(summary.last_restart, now)} ago)"
    return str(summary.restarts)


def _address(pod: JsonObject) -> str:
    addresses = value_at(pod, "status.podIPs", ())
    return (addresses[0].get("ip") if addresses else value_at(pod, "status.podIP")) or NONE


def _readiness_gates(pod: JsonObject) -> str:
    gates = value_at(pod, "spec.readinessGates", ())
    if not gates:
        return NONE
    conditions = value_at(pod, "status.conditions", ())
    return f"{sum(_is_true(conditions, one.get('conditionType', '')) for one in gates)}/{len(gates)}"


COLUMNS: Final = (
    NAME,
    column("Ready", _ready, description="The aggregate readiness state of this pod for accepting traffic."),
    column(
        "Status",
        lambda pod: summarize(pod).status,
        description="The aggregate status of the containers in this pod.",
    ),
    Column(
        name="Restarts",
        description="The number of times the containers in this pod have been restarted and when the last container "
        "in this pod has restarted.",
        value=_restarts,
    ),
    AGE,
    column("IP", _address, wide=True),
    field_column("Node", "spec.nodeName", NONE, wide=True),
    field_column("Nominated Node", "status.nominatedNodeName", NONE, wide=True),
    column("Readiness Gates", _readiness_gates, wide=True),
)

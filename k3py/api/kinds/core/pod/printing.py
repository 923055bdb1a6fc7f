"""The cells of a pod's row. Source: kubernetes/pkg/printers/internalversion/printers.go v1.35 (printPod)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from k3py.api.duration import age_of

if TYPE_CHECKING:
    from datetime import datetime

    from k3py.jsontypes import JsonObject


class _Seen(NamedTuple):
    ready: int
    total: int
    reason: str
    restarts: int
    restarted_at: str


def ready_of(pod: JsonObject) -> str:
    """Return "ready/total"; sidecars that have started count."""
    seen = _look(pod)
    return f"{seen.ready}/{seen.total}"


def status_of(pod: JsonObject) -> str:
    """Return the word that tells best how the pod is."""
    return _look(pod).reason


def restarts_of(pod: JsonObject, now: datetime) -> str:
    """Return the number of restarts, and how long ago the last one was."""
    seen = _look(pod)
    if seen.restarts and seen.restarted_at:
        return f"{seen.restarts} ({age_of(seen.restarted_at, now)} ago)"
    return str(seen.restarts)


def _is_sidecar(spec: JsonObject, name: str) -> bool:
    return any(
        one["name"] == name and one.get("restartPolicy") == "Always"
        for one in spec.get("initContainers") or ()
    )


def _ended(state: JsonObject) -> str:
    ended = state["terminated"]
    if ended.get("reason"):
        return str(ended["reason"])
    if ended.get("signal"):
        return f"Signal:{ended['signal']}"
    return f"ExitCode:{ended.get('exitCode', 0)}"


def _look(pod: JsonObject) -> _Seen:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    reason = str(status.get("reason") or status.get("phase") or "")
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    if conditions.get("PodScheduled", {}).get("reason") == "SchedulingGated":
        reason = "SchedulingGated"
    total = len(spec.get("containers") or ())
    initializing, reason, ready, restarts, at = _look_at_init(spec, status, reason)
    total += sum(1 for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always")
    if not initializing or _condition(conditions, "Initialized"):
        ready, restarts, at, reason = _look_at_main(status, conditions, reason, ready, restarts, at)
    if "deletionTimestamp" in pod["metadata"]:
        if status.get("reason") == "NodeLost":
            reason = "Unknown"
        elif status.get("phase") not in ("Succeeded", "Failed"):
            reason = "Terminating"
    return _Seen(ready, total, reason, restarts, at)


def _condition(conditions: dict[str, JsonObject], kind: str) -> bool:
    return bool(conditions.get(kind, {}).get("status") == "True")


def _look_at_init(spec: JsonObject, status: JsonObject, reason: str) -> tuple[bool, str, int, int, str]:
    count = len(spec.get("initContainers") or ())
    ready = restarts = 0
    at = ""
    for index, one in enumerate(status.get("initContainerStatuses") or ()):
        restarts += one.get("restartCount", 0)
        at = max(at, ((one.get("lastState") or {}).get("terminated") or {}).get("finishedAt") or "")
        state = one.get("state") or {}
        if "terminated" in state and state["terminated"].get("exitCode", 0) == 0:
            continue
        if _is_sidecar(spec, one["name"]) and one.get("started"):
            ready += 1 if one.get("ready") else 0
            continue
        if "terminated" in state:
            return True, f"Init:{_ended(state)}", ready, restarts, at
        waiting = (state.get("waiting") or {}).get("reason", "")
        if waiting and waiting != "PodInitializing":
            return True, f"Init:{waiting}", ready, restarts, at
        return True, f"Init:{index}/{count}", ready, restarts, at
    return False, reason, ready, restarts, at


def _look_at_main(
    status: JsonObject,
    conditions: dict[str, JsonObject],
    reason: str,
    ready: int,
    restarts: int,
    at: str,
) -> tuple[int, int, str, str]:
    running = False
    for one in reversed(status.get("containerStatuses") or ()):
        restarts += one.get("restartCount", 0)
        at = max(at, ((one.get("lastState") or {}).get("terminated") or {}).get("finishedAt") or "")
        state = one.get("state") or {}
        if (state.get("waiting") or {}).get("reason"):
            reason = state["waiting"]["reason"]
        elif "terminated" in state:
            reason = _ended(state)
        elif one.get("ready") and "running" in state:
            running = True
            ready += 1
    if reason == "Completed" and running:
        reason = "Running" if _condition(conditions, "Ready") else "NotReady"
    return ready, restarts, at, reason

"""What controllers want to know of a pod. Source: kubernetes/pkg/api/v1/pod and pkg/controller/controller_utils.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.timestamps import parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from k3py.jsontypes import JsonObject


def find_condition(obj: JsonObject, kind: str) -> JsonObject | None:
    """Return the status condition of type `kind`, if there."""
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition["type"] == kind:
            return dict(condition)
    return None


def phase_of(pod: JsonObject) -> str:
    """Return status.phase, "" when not set."""
    return str((pod.get("status") or {}).get("phase", ""))


def is_finished(pod: JsonObject) -> bool:
    """Say whether the pod has come to its end."""
    return phase_of(pod) in ("Succeeded", "Failed")


def is_active(pod: JsonObject) -> bool:
    """Say whether the pod counts as a replica: neither finished nor being deleted."""
    return not is_finished(pod) and "deletionTimestamp" not in pod["metadata"]


def is_terminating(pod: JsonObject) -> bool:
    """Say whether the pod is being deleted and has not come to its end."""
    return not is_finished(pod) and "deletionTimestamp" in pod["metadata"]


def is_ready(pod: JsonObject) -> bool:
    """Say whether the Ready condition is True."""
    condition = find_condition(pod, "Ready")
    return condition is not None and condition["status"] == "True"


def available_in_s(pod: JsonObject, min_ready_s: int, now: datetime) -> float | None:
    """Return in how many seconds a ready pod counts as available (0 = it does), or None when it is not ready."""
    condition = find_condition(pod, "Ready")
    if condition is None or condition["status"] != "True":
        return None
    if min_ready_s == 0:
        return 0.0
    since = condition.get("lastTransitionTime")
    if not since:
        return float(min_ready_s)
    left_s: float = min_ready_s - (now - parse_time(since)).total_seconds()
    return max(0.0, left_s)

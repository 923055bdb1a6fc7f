"""Status and conditions of a Deployment. All pure.

Source: kubernetes/pkg/controller/deployment/{progress,sync}.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.timestamps import format_time, parse_time
from k3py.controllers.workloads.deployment.revision import is_new
from k3py.controllers.workloads.deployment.rolling import resolve_bounds, size_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from k3py.jsontypes import JsonObject

NO_DEADLINE: Final = 2**31 - 1


def plan_status(
    deployment: JsonObject,
    sets: Sequence[JsonObject],
    new: JsonObject | None,
    *,
    now: datetime,
    failure: str = "",
) -> tuple[JsonObject, float | None]:
    """Return the status and the seconds until the progress deadline (None: nothing to wait for).

    failure: message of a ReplicaSet that could not be made, "" = none.
    """
    status = _count(deployment, sets, new)
    stamp = format_time(now)
    old = deployment.get("status") or {}
    conditions = {one["type"]: one for one in old.get("conditions") or ()}
    _, unavailable = resolve_bounds(deployment)
    if status.get("availableReplicas", 0) >= deployment["spec"].get("replicas", 1) - unavailable:
        _set(conditions, "Available", "True", "MinimumReplicasAvailable", _ENOUGH, stamp)
    else:
        _set(conditions, "Available", "False", "MinimumReplicasUnavailable", _TOO_FEW, stamp)
    wait_s = None
    if failure:
        _set(conditions, "Progressing", "False", "ReplicaSetCreateError", failure, stamp)
    elif deployment["spec"].get("progressDeadlineSeconds", 600) != NO_DEADLINE:
        wait_s = _progress(deployment, status, new, conditions, now)
    _take_failure(sets, conditions, stamp)
    status["conditions"] = list(conditions.values())
    return status, wait_s


def _count(deployment: JsonObject, sets: Sequence[JsonObject], new: JsonObject | None) -> JsonObject:
    def total(field: str, among: Sequence[JsonObject]) -> int:
        return sum((one.get("status") or {}).get(field, 0) for one in among)

    available = total("availableReplicas", sets)
    asked = sum(size_of(one) for one in sets)
    status: JsonObject = {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "replicas": total("replicas", sets),
        "updatedReplicas": total("replicas", [new] if new is not None else []),
        "readyReplicas": total("readyReplicas", sets),
        "availableReplicas": available,
        "unavailableReplicas": max(0, asked - available),
        "collisionCount": (deployment.get("status") or {}).get("collisionCount", 0),
    }
    status = {key: value for key, value in status.items() if value or key == "observedGeneration"}
    status["terminatingReplicas"] = total("terminatingReplicas", sets)
    return status


def is_complete(deployment: JsonObject, status: JsonObject) -> bool:
    """Say whether the rollout is over: all replicas updated and available, no old ones left."""
    wanted = deployment["spec"].get("replicas", 1)
    return bool(
        status.get("updatedReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
        and status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    )


def _progress(
    deployment: JsonObject,
    status: JsonObject,
    new: JsonObject | None,
    conditions: dict[str, JsonObject],
    now: datetime,
) -> float | None:
    stamp = format_time(now)
    current = conditions.get("Progressing")
    done = current is not None and current["reason"] == "NewReplicaSetAvailable"
    if deployment["spec"].get("paused") and current is not None and current["reason"] == "DeploymentPaused":
        return None
    subject = _subject(deployment, new)
    old = deployment.get("status") or {}
    if is_complete(deployment, status):
        _set(
            conditions,
            "Progressing",
            "True",
            "NewReplicaSetAvailable",
            f"{subject} has successfully progressed.",
            stamp,
        )
        return None
    if (
        status.get("replicas", 0) == status.get("updatedReplicas", 0)
        and done
        and old.get("observedGeneration", 0) == status["observedGeneration"]
    ):
        return None  # a finished rollout that lost pods is not judged by the deadline again
    if _has_progressed(old, status):
        moved = {
            "type": "Progressing",
            "status": "True",
            "reason": "ReplicaSetUpdated",
            "message": f"{subject} is progressing.",
            "lastUpdateTime": stamp,
            "lastTransitionTime": current["lastTransitionTime"]
            if current is not None and current["status"] == "True"
            else stamp,
        }
        conditions.pop("Progressing", None)  # what changes goes to the end, as upstream lists it
        conditions["Progressing"] = moved
        current = moved
    if current is None:
        return None
    deadline_s = deployment["spec"].get("progressDeadlineSeconds", 600)
    waited_s = (now - parse_time(current["lastUpdateTime"])).total_seconds()
    if current["reason"] == "ProgressDeadlineExceeded":
        return None
    if waited_s >= deadline_s:
        _set(
            conditions,
            "Progressing",
            "False",
            "ProgressDeadlineExceeded",
            f"{subject} has timed out progressing.",
            stamp,
        )
        return None
    return float(deadline_s - waited_s) + 1


def _has_progressed(old: JsonObject, new: JsonObject) -> bool:
    old_sets = old.get("replicas", 0) - old.get("updatedReplicas", 0)
    new_sets = new.get("replicas", 0) - new.get("updatedReplicas", 0)
    return bool(
        new.get("updatedReplicas", 0) > old.get("updatedReplicas", 0)
        or new_sets < old_sets
        or new.get("readyReplicas", 0) > old.get("readyReplicas", 0)
        or new.get("availableReplicas", 0) > old.get("availableReplicas", 0)
    )


def _take_failure(sets: Sequence[JsonObject], conditions: dict[str, JsonObject], stamp: str) -> None:
    for one in sets:
        for condition in (one.get("status") or {}).get("conditions") or ():
            if condition["type"] == "ReplicaFailure":
                _set(
                    conditions,
                    "ReplicaFailure",
                    condition["status"],
                    condition["reason"],
                    condition["message"],
                    stamp,
                )
                return
    conditions.pop("ReplicaFailure", None)


def set_progressing(
    status: JsonObject, *, value: str, reason: str, message: str, now: datetime
) -> JsonObject:
    """Return `status` with the Progressing condition replaced."""
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    _set(conditions, "Progressing", value, reason, message, format_time(now))
    return {**status, "conditions": list(conditions.values())}


def _subject(deployment: JsonObject, new: JsonObject | None) -> str:
    if new is not None and is_new(deployment, new):
        return f'ReplicaSet "{new["metadata"]["name"]}"'
    return f'Deployment "{deployment["metadata"]["name"]}"'


def _set(
    conditions: dict[str, JsonObject], kind: str, value: str, reason: str, message: str, stamp: str
) -> None:
    old = conditions.get(kind)
    if old is not None and (old["status"], old["reason"]) == (value, reason):
        return
    conditions.pop(kind, None)
    conditions[kind] = {
        "type": kind,
        "status": value,
        "lastUpdateTime": stamp,
        "lastTransitionTime": old["lastTransitionTime"] if old and old["status"] == value else stamp,
        "reason": reason,
        "message": message,
    }


_ENOUGH: Final = "Deployment has minimum availability."
_TOO_FEW: Final = "Deployment does not have minimum availability."

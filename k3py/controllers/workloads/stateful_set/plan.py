"""What a StatefulSet does next, and its status: pure.

Source: kubernetes/pkg/controller/statefulset/stateful_set_control.go v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from k3py.controllers.pod import available_in_s, is_finished, phase_of
from k3py.controllers.workloads.stateful_set.identity import (
    in_range,
    is_running_and_ready,
    ordinal_of,
    revision_of,
    size_of,
    start_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from k3py.jsontypes import JsonObject


class Verb(Enum):
    """CREATE the pod of an ordinal, DELETE a pod, KEEP one: see that its claims and labels are right; CLAIMS: only its claims."""

    CREATE = "create"
    DELETE = "delete"
    KEEP = "keep"
    CLAIMS = "claims"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do; `pod` is None for CREATE."""

    verb: Verb
    ordinal: int
    pod: JsonObject | None = None
    updated: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A StatefulSet as it is seen now; `current` and `update` are names of revisions."""

    stateful_set: JsonObject
    pods: Sequence[JsonObject]
    current: str
    update: str
    now: datetime

    @property
    def monotonic(self) -> bool:
        """Say whether pods come and go one after another."""
        return bool(self.stateful_set["spec"].get("podManagementPolicy", "OrderedReady") != "Parallel")

    def is_available(self, pod: JsonObject) -> bool:
        """Say whether the pod runs and has been ready for long enough."""
        minimum_s = self.stateful_set["spec"].get("minReadySeconds", 0)
        return is_running_and_ready(pod) and available_in_s(pod, minimum_s, self.now) == 0


def _is_terminating(pod: JsonObject) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _is_healthy(pod: JsonObject) -> bool:
    return is_running_and_ready(pod) and not _is_terminating(pod)


def _partition(stateful_set: JsonObject) -> int:
    strategy = stateful_set["spec"].get("updateStrategy") or {}
    return int((strategy.get("rollingUpdate") or {}).get("partition", 0))


def plan_steps(view: View) -> list[Step]:
    """Return what to do now, in order; a failed step ends the round."""
    if _is_terminating(view.stateful_set):
        return []
    start, size = start_of(view.stateful_set), size_of(view.stateful_set)
    replicas: dict[int, JsonObject] = {}
    condemned = []
    for pod in view.pods:
        ordinal = ordinal_of(pod)
        if in_range(view.stateful_set, ordinal):
            replicas[ordinal] = pod
        elif ordinal >= 0:
            condemned.append(pod)
    condemned.sort(key=ordinal_of, reverse=True)
    steps: list[Step] = []
    for ordinal in range(start, start + size):
        if _plan_replica(view, ordinal, replicas.get(ordinal), steps):
            return steps
    steps += [Step(Verb.CLAIMS, ordinal_of(pod), pod) for pod in condemned]
    if _plan_condemned(view, condemned, [replicas[one] for one in sorted(replicas)], steps):
        return steps
    strategy = (view.stateful_set["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate")
    if strategy != "OnDelete":
        _plan_update(view, replicas, steps)
    return steps


def _plan_replica(view: View, ordinal: int, pod: JsonObject | None, steps: list[Step]) -> bool:
    """Plan one place; returns True when nothing further may be done in this round."""
    if pod is None:
        steps.append(Step(Verb.CREATE, ordinal, updated=not _needs_current(view, ordinal)))
        return view.monotonic
    if is_finished(pod):
        if not _is_terminating(pod):
            steps.append(Step(Verb.DELETE, ordinal, pod))
        return True
    pending = phase_of(pod) in ("", "Pending")
    if pending:
        steps.append(Step(Verb.CLAIMS, ordinal, pod))
    if view.monotonic and (_is_terminating(pod) or not view.is_available(pod)):
        return True
    steps.append(Step(Verb.KEEP, ordinal, pod))
    return False


def _needs_current(view: View, ordinal: int) -> bool:
    """Below the partition a pod is made from the former revision."""
    strategy = view.stateful_set["spec"].get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return False
    return ordinal < start_of(view.stateful_set) + _partition(view.stateful_set)


def _plan_condemned(
    view: View, condemned: Sequence[JsonObject], replicas: Sequence[JsonObject], steps: list[Step]
) -> bool:
    lowest_first = sorted(condemned, key=ordinal_of)
    unhealthy = next((pod for pod in (*replicas, *lowest_first) if not _is_healthy(pod)), None)
    for pod in condemned:
        if _is_terminating(pod):
            if view.monotonic:
                return True
            continue
        if view.monotonic and pod is not unhealthy and not view.is_available(pod):
            return True
        steps.append(Step(Verb.DELETE, ordinal_of(pod), pod))
        if view.monotonic:
            return True
    return False


def _plan_update(view: View, replicas: dict[int, JsonObject], steps: list[Step]) -> None:
    start, size = start_of(view.stateful_set), size_of(view.stateful_set)
    for ordinal in range(start + size - 1, start + _partition(view.stateful_set) - 1, -1):
        pod = replicas.get(ordinal)
        if pod is None:
            return
        if revision_of(pod) != view.update and not _is_terminating(pod):
            steps.append(Step(Verb.DELETE, ordinal, pod))
            return
        if not _is_healthy(pod):
            return


def plan_status(view: View, collisions: int) -> tuple[JsonObject, float | None]:
    """Return the status and the seconds until a ready pod becomes available (None: nothing to wait for)."""
    replicas = ready = available = current = updated = 0
    wait_s: float | None = None
    minimum_s = view.stateful_set["spec"].get("minReadySeconds", 0)
    for pod in view.pods:
        replicas += 1
        if is_running_and_ready(pod):
            ready += 1
            left_s = available_in_s(pod, minimum_s, view.now) or 0.0
            available += left_s == 0
            if left_s > 0:
                wait_s = left_s if wait_s is None else min(wait_s, left_s)
        if not _is_terminating(pod):
            current += revision_of(pod) == view.current
            updated += revision_of(pod) == view.update
    status: JsonObject = {
        "observedGeneration": view.stateful_set["metadata"].get("generation", 0),
        "replicas": replicas,
        "readyReplicas": ready,
        "currentReplicas": current,
        "updatedReplicas": updated,
        "currentRevision": view.current,
        "updateRevision": view.update,
        "collisionCount": collisions,
        "availableReplicas": available,
    }
    wanted = size_of(view.stateful_set)
    strategy = (view.stateful_set["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate")
    if strategy == "RollingUpdate" and updated == replicas == ready == wanted:
        status["currentReplicas"], status["currentRevision"] = updated, view.update
    for optional in ("readyReplicas", "currentReplicas", "updatedReplicas"):
        if not status[optional]:
            del status[optional]
    conditions = (view.stateful_set.get("status") or {}).get("conditions")
    if conditions:
        status["conditions"] = conditions
    return status, wait_s

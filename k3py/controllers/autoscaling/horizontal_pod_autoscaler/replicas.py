"""How many pods bring a metric to its target: pure. Values are thousandths of the metric's unit.

Source: kubernetes/pkg/controller/podautoscaler/{replica_calculator.go,metrics/utilization.go} v1.35.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from k3py.api.quantity import millis
from k3py.api.timestamps import parse_time
from k3py.controllers.pod import find_condition, phase_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from k3py.jsontypes import JsonObject

CPU: Final = "cpu"
_CPU_INITIALIZATION: Final = timedelta(minutes=5)
_READINESS_DELAY: Final = timedelta(seconds=30)
_NO_PODS: Final = "no pods returned by selector while calculating replica count"
_NO_METRICS: Final = "did not receive metrics for targeted pods (pods might be unready)"


class MetricError(Exception):
    """A metric cannot be computed; the text says why, as upstream does."""


@dataclass(frozen=True, slots=True)
class PodMetric:
    """A pod's value, the end of the window that it was measured in, and that one's length."""

    value: int
    time: datetime
    window_s: float


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How far the ratio of usage to target may be off, down and up, without a change."""

    down: float = 0.1
    up: float = 0.1

    def covers(self, ratio: float) -> bool:
        """Say whether a ratio is near enough to 1."""
        return 1.0 - self.down <= ratio <= 1.0 + self.up


@dataclass(frozen=True, slots=True)
class Proposal:
    """How many replicas a metric asks for; the metric's value (average a pod), and in percent of the requests if it is that."""

    replicas: int
    value: int
    utilization: int | None = None


@dataclass(slots=True)
class _Groups:
    """Pods by how they count; values of those that count as they are."""

    ready: dict[str, int]
    unready: list[str]
    missing: list[str]


def propose_by_utilization(
    replicas: int,
    target_percent: int,
    metrics: Mapping[str, PodMetric],
    pods: Sequence[JsonObject],
    *,
    resource: str,
    container: str,
    tolerances: Tolerances,
    now: datetime,
) -> Proposal:
    """Propose replicas for a resource's utilization in percent of what pods request. Raises MetricError."""
    groups = _group(pods, metrics, resource, now)
    requests = {pod["metadata"]["name"]: _request(pod, resource, container) for pod in pods}

    def ratio_of(values: Mapping[str, int]) -> tuple[float, int]:
        asked = sum(requests[name] for name in values if name in requests)
        if asked == 0:
            raise MetricError("no metrics returned matched known pods")
        percent = int(sum(values.values()) * 100 / asked)
        return percent / target_percent, percent

    ratio, percent = ratio_of(groups.ready)
    average = sum(groups.ready.values()) // len(groups.ready)
    fallback = {name: requests[name] * max(100, target_percent) // 100 for name in groups.missing}
    count = _settle(replicas, ratio, groups, fallback, lambda values: ratio_of(values)[0], tolerances)
    return Proposal(count, average, percent)


def propose_by_average(
    replicas: int,
    target: int,
    metrics: Mapping[str, PodMetric],
    pods: Sequence[JsonObject],
    *,
    resource: str = "",
    tolerances: Tolerances,
    now: datetime,
) -> Proposal:
    """Propose replicas for an average value a pod. Raises MetricError."""
    groups = _group(pods, metrics, resource, now)

    def ratio_of(values: Mapping[str, int]) -> float:
        return sum(values.values()) // len(values) / target

    average = sum(groups.ready.values()) // len(groups.ready)
    fallback = dict.fromkeys(groups.missing, target)
    count = _settle(replicas, ratio_of(groups.ready), groups, fallback, ratio_of, tolerances)
    return Proposal(count, average)


def propose_by_value(
    replicas: int, target: int, usage: int, pods: Sequence[JsonObject], tolerances: Tolerances
) -> Proposal:
    """Propose replicas for a value of the whole (of an object, or from outside). Raises MetricError."""
    ratio = usage / target
    if replicas == 0:
        return Proposal(math.ceil(ratio), usage)
    if tolerances.covers(ratio):
        return Proposal(replicas, usage)
    if not pods:
        raise MetricError(f"unable to calculate ready pods: {_NO_PODS}")
    ready = sum(1 for pod in pods if phase_of(pod) == "Running" and _is_ready(pod))
    return Proposal(math.ceil(ratio * ready), usage)


def propose_by_value_a_pod(replicas: int, target: int, usage: int, tolerances: Tolerances) -> Proposal:
    """Propose replicas for a value of the whole that is shared among `replicas` pods."""
    count = replicas
    if replicas == 0 or not tolerances.covers(usage / (target * replicas)):
        count = math.ceil(usage / target)
    return Proposal(count, math.ceil(usage / replicas) if replicas else usage)


def _settle(
    replicas: int,
    ratio: float,
    groups: _Groups,
    fallback: Mapping[str, int],
    ratio_of: Callable[[Mapping[str, int]], float],
    tolerances: Tolerances,
) -> int:
    """Count pods that are not known as they hinder a change most, and see whether one is still due."""
    up_with_unready = bool(groups.unready) and ratio > 1.0
    if not up_with_unready and not groups.missing:
        return replicas if tolerances.covers(ratio) else math.ceil(ratio * len(groups.ready))
    values = dict(groups.ready)
    if ratio < 1.0:
        values |= fallback
    elif ratio > 1.0:
        values |= dict.fromkeys(groups.missing, 0)
    if up_with_unready:
        values |= dict.fromkeys(groups.unready, 0)
    second = ratio_of(values)
    turned = (ratio < 1.0 < second) or (second < 1.0 < ratio)
    if turned or tolerances.covers(second):
        return replicas
    count = math.ceil(second * len(values))
    if (second < 1.0 and count > replicas) or (second > 1.0 and count < replicas):
        return replicas
    return count


def _group(
    pods: Sequence[JsonObject], metrics: Mapping[str, PodMetric], resource: str, now: datetime
) -> _Groups:
    if not pods:
        raise MetricError(_NO_PODS)
    groups = _Groups({}, [], [])
    for pod in pods:
        name, phase = pod["metadata"]["name"], phase_of(pod)
        if "deletionTimestamp" in pod["metadata"] or phase == "Failed":
            continue
        metric = metrics.get(name)
        if phase == "Pending":
            groups.unready.append(name)
        elif metric is None:
            groups.missing.append(name)
        elif resource == CPU and _starts(pod, metric, now):
            groups.unready.append(name)
        else:
            groups.ready[name] = metric.value
    if not groups.ready:
        raise MetricError(_NO_METRICS)
    return groups


def _starts(pod: JsonObject, metric: PodMetric, now: datetime) -> bool:
    """Say whether the pod's CPU says nothing yet: it is busy starting."""
    status = pod.get("status") or {}
    condition = find_condition(pod, "Ready")
    if condition is None or not status.get("startTime") or not condition.get("lastTransitionTime"):
        return True
    started, changed = parse_time(status["startTime"]), parse_time(condition["lastTransitionTime"])
    is_unready = condition.get("status") == "False"
    if started + _CPU_INITIALIZATION > now:
        return is_unready or metric.time < changed + timedelta(seconds=metric.window_s)
    return is_unready and started + _READINESS_DELAY > changed


def _is_ready(pod: JsonObject) -> bool:
    condition = find_condition(pod, "Ready")
    return condition is not None and condition.get("status") == "True"


def _request(pod: JsonObject, resource: str, container: str) -> int:
    """Return what a pod, or one container of it, requests, in thousandths. Raises MetricError."""
    spec = pod["spec"]
    whole = ((spec.get("resources") or {}).get("requests") or {}).get(resource)
    if whole is not None and not container:
        return millis(whole)
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    total = 0
    for one in (*(spec.get("containers") or ()), *sidecars):
        if container and one["name"] != container:
            continue
        found = ((one.get("resources") or {}).get("requests") or {}).get(resource)
        if found is None:
            name = pod["metadata"]["name"]
            raise MetricError(f"missing request for {resource} in container {one['name']} of Pod {name}")
        total += millis(found)
    return total

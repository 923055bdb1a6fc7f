"""From what metrics ask for to what is done: recommendations of the recent past, policies, bounds. Pure but for the history it keeps.

Source: kubernetes/pkg/controller/podautoscaler/horizontal.go v1.35.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject

DOWN_WINDOW_S: Final = 300
_LEAST_UP_LIMIT: Final = 4
_UP_FACTOR: Final = 2.0
_WITHIN: Final = ("DesiredWithinRange", "the desired count is within the acceptable range")
_TOO_MANY: Final = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
_TOO_FEW: Final = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
_UP_LIMIT: Final = (
    "ScaleUpLimit",
    "the desired replica count is increasing faster than the maximum scale rate",
)
_DOWN_LIMIT: Final = (
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
)
_UP_STABILIZED: Final = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)
_DOWN_STABILIZED: Final = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)
_READY: Final = ("ReadyForNewScale", "recommended size matches current size")


@dataclass(slots=True)
class History:
    """What was recommended and done lately: (monotonic s, replicas) and (monotonic s, replicas added or taken)."""

    recommendations: list[tuple[float, int]] = field(default_factory=list)
    ups: list[tuple[float, int]] = field(default_factory=list)
    downs: list[tuple[float, int]] = field(default_factory=list)

    def begin(self, replicas: int, now_s: float) -> None:
        """Take the present size as the first recommendation."""
        if not self.recommendations:
            self.recommendations.append((now_s, replicas))

    def note(self, before: int, after: int, now_s: float, behavior: JsonObject | None) -> None:
        """Remember a change of size for as long as a policy looks back."""
        if behavior is None:
            return
        events, rules = (self.ups, "scaleUp") if after > before else (self.downs, "scaleDown")
        policies = (behavior.get(rules) or {}).get("policies") or ()
        longest_s = max((one["periodSeconds"] for one in policies), default=0)
        events[:] = [one for one in events if one[0] > now_s - longest_s]
        events.append((now_s, abs(after - before)))


@dataclass(frozen=True, slots=True)
class Decision:
    """A size, and (reason, message) of the conditions AbleToScale and ScalingLimited; `limited` is the latter's status."""

    replicas: int
    able: tuple[str, str]
    limit: tuple[str, str]
    limited: bool


def decide(
    history: History,
    behavior: JsonObject | None,
    *,
    current: int,
    desired: int,
    least: int,
    most: int,
    now_s: float,
) -> Decision:
    """Return what to do about a recommendation, which `history` remembers."""
    if behavior is None:
        stabilized = _stabilize_down(history, desired, now_s)
        able = _READY if stabilized == desired else _DOWN_STABILIZED
        replicas, limit = _bound(current, stabilized, least, most)
    else:
        stabilized, able = _stabilize(history, behavior, current, desired, now_s)
        replicas, limit = _bound_by_policies(history, behavior, current, stabilized, least, most, now_s)
    return Decision(replicas, able, limit, limited=replicas != stabilized)


def _stabilize_down(history: History, desired: int, now_s: float) -> int:
    recent = [one for one in history.recommendations if one[0] > now_s - DOWN_WINDOW_S]
    history.recommendations = [*recent, (now_s, desired)]
    return max(desired, *(replicas for _, replicas in recent), desired)


def _stabilize(
    history: History, behavior: JsonObject, current: int, desired: int, now_s: float
) -> tuple[int, tuple[str, str]]:
    up_s = (behavior.get("scaleUp") or {}).get("stabilizationWindowSeconds") or 0
    down_s = _window_s(behavior.get("scaleDown") or {}, DOWN_WINDOW_S)
    up = min([desired, *(count for when, count in history.recommendations if when > now_s - up_s)])
    down = max([desired, *(count for when, count in history.recommendations if when > now_s - down_s)])
    history.recommendations = [
        *(one for one in history.recommendations if one[0] > now_s - max(up_s, down_s)),
        (now_s, desired),
    ]
    stabilized = min(max(current, up), down)
    if stabilized == desired:
        return stabilized, _READY
    return stabilized, _UP_STABILIZED if desired >= current else _DOWN_STABILIZED


def _window_s(rules: JsonObject, default_s: int) -> int:
    window: int | None = rules.get("stabilizationWindowSeconds")
    return default_s if window is None else window


def _bound(current: int, desired: int, least: int, most: int) -> tuple[int, tuple[str, str]]:
    limit = int(max(_UP_FACTOR * current, _LEAST_UP_LIMIT))
    highest, reason = (limit, _UP_LIMIT) if most > limit else (most, _TOO_MANY)
    if desired < least:
        return least, _TOO_FEW
    if desired > highest:
        return highest, reason
    return desired, _WITHIN


def _bound_by_policies(
    history: History, behavior: JsonObject, current: int, desired: int, least: int, most: int, now_s: float
) -> tuple[int, tuple[str, str]]:
    if desired > current:
        limit = max(current, _up_limit(history, behavior.get("scaleUp") or {}, current, now_s))
        highest, reason = (limit, _UP_LIMIT) if most > limit else (most, _TOO_MANY)
        if desired > highest:
            return highest, reason
    elif desired < current:
        limit = min(current, _down_limit(history, behavior.get("scaleDown") or {}, current, now_s))
        lowest, reason = (limit, _DOWN_LIMIT) if least < limit else (least, _TOO_FEW)
        if desired < lowest:
            return lowest, reason
    return desired, _WITHIN


def _up_limit(history: History, rules: JsonObject, current: int, now_s: float) -> int:
    if rules.get("selectPolicy") == "Disabled":
        return current
    limits: list[int] = []
    for policy in rules.get("policies") or ():
        start = _size_before(history, policy, current, now_s)
        if policy["type"] == "Pods":
            limits.append(start + int(policy["value"]))
        else:
            limits.append(math.ceil(start * (1 + policy["value"] / 100)))
    if not limits:
        return current
    return min(limits) if rules.get("selectPolicy") == "Min" else max(limits)


def _down_limit(history: History, rules: JsonObject, current: int, now_s: float) -> int:
    if rules.get("selectPolicy") == "Disabled":
        return current
    limits: list[int] = []
    for policy in rules.get("policies") or ():
        start = _size_before(history, policy, current, now_s)
        if policy["type"] == "Pods":
            limits.append(start - int(policy["value"]))
        else:
            limits.append(int(start * (1 - policy["value"] / 100)))
    if not limits:
        return current
    return max(limits) if rules.get("selectPolicy") == "Min" else min(limits)


def _size_before(history: History, policy: JsonObject, current: int, now_s: float) -> int:
    """Return how many there were when the policy's period began."""
    cutoff_s = now_s - policy["periodSeconds"]
    return current - _sum_since(history.ups, cutoff_s) + _sum_since(history.downs, cutoff_s)


def _sum_since(events: Sequence[tuple[float, int]], cutoff_s: float) -> int:
    return sum(change for when, change in events if when > cutoff_s)

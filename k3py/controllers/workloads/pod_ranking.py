"""Which pods go first when there are too many.

Source: ActivePodsWithRanks in kubernetes/pkg/controller/controller_utils.go v1.35.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final

from k3py.api.timestamps import parse_time
from k3py.controllers.pod import find_condition, is_ready, phase_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from k3py.jsontypes import JsonObject

_PHASE_ORDER: Final = {"Pending": 0, "Unknown": 1, "Running": 2}
COST_ANNOTATION: Final = "controller.kubernetes.io/pod-deletion-cost"


def rank_for_deletion(
    pods: Sequence[JsonObject], related: Sequence[JsonObject], now: datetime
) -> list[JsonObject]:
    """Return `pods` in the order in which they should be deleted.

    Unassigned, pending, not ready, cheap, on nodes that hold more of `related`, shorter ready, more often restarted, newer.
    """
    per_node = Counter((pod.get("spec") or {}).get("nodeName", "") for pod in related)
    return sorted(pods, key=lambda pod: _rank(pod, per_node, now))


def _rank(pod: JsonObject, per_node: Counter[str], now: datetime) -> tuple[float, ...]:
    node = (pod.get("spec") or {}).get("nodeName", "")
    ready = is_ready(pod)
    created = parse_time(pod["metadata"]["creationTimestamp"])
    return (
        1 if node else 0,
        _PHASE_ORDER.get(phase_of(pod), 0),
        1 if ready else 0,
        _deletion_cost(pod),
        -per_node[node],
        _age_bucket(pod, now) if ready else 0,
        -_restarts(pod),
        -created.timestamp(),
    )


def _deletion_cost(pod: JsonObject) -> int:
    text = (pod["metadata"].get("annotations") or {}).get(COST_ANNOTATION, "0")
    try:
        return int(text)
    except ValueError:
        return 0


def _age_bucket(pod: JsonObject, now: datetime) -> float:
    """Return the logarithm of the time as ready, so that pods of about the same age count as equal."""
    since = (find_condition(pod, "Ready") or {}).get("lastTransitionTime")
    if not since:
        return 0
    age_s = max(1.0, (now - parse_time(since)).total_seconds())
    return math.floor(math.log2(age_s))


def _restarts(pod: JsonObject) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return max((one.get("restartCount", 0) for one in statuses), default=0)

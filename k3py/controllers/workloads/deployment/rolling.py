"""How many replicas each ReplicaSet of a Deployment shall have next. All pure.

Source: kubernetes/pkg/controller/deployment/{rolling,recreate,sync}.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.controllers.share import resolve_share
from k3py.controllers.workloads.deployment.revision import MAXIMUM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject


def resolve_bounds(deployment: JsonObject) -> tuple[int, int]:
    """Return (max surge, max unavailable) as numbers of pods; never both 0; (0, 0) for Recreate."""
    strategy = deployment["spec"].get("strategy") or {}
    replicas = deployment["spec"].get("replicas", 1)
    if strategy.get("type") == "Recreate":
        return 0, 0
    rolling = strategy.get("rollingUpdate") or {}
    surge = resolve_share(rolling.get("maxSurge", "25%"), replicas, round_up=True)
    unavailable = resolve_share(rolling.get("maxUnavailable", "25%"), replicas, round_up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, replicas)


def size_of(replica_set: JsonObject) -> int:
    """Return spec.replicas."""
    return int(replica_set["spec"].get("replicas", 1))


def _available(replica_set: JsonObject) -> int:
    return int((replica_set.get("status") or {}).get("availableReplicas", 0))


def plan_new_size(deployment: JsonObject, new: JsonObject | None, sets: Sequence[JsonObject]) -> int:
    """Return the size of the new ReplicaSet (None: to be made), as far as the surge allows now."""
    wanted = int(deployment["spec"].get("replicas", 1))
    if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
        return wanted
    surge, _ = resolve_bounds(deployment)
    current = size_of(new) if new is not None else 0
    room = wanted + surge - sum(size_of(one) for one in sets)
    if current >= wanted or room <= 0:
        return min(current, wanted)
    return current + min(room, wanted - current)


def plan_old_sizes(
    deployment: JsonObject, new: JsonObject, old: Sequence[JsonObject]
) -> list[tuple[JsonObject, int]]:
    """Return (ReplicaSet, new size) for the old sets that may shrink now: unhealthy replicas first, then oldest first."""
    wanted = deployment["spec"].get("replicas", 1)
    _, unavailable = resolve_bounds(deployment)
    sets = [new, *old]
    minimum = wanted - unavailable
    new_unavailable = size_of(new) - _available(new)
    budget = sum(size_of(one) for one in sets) - minimum - new_unavailable
    if budget <= 0:
        return []
    sizes = {one["metadata"]["uid"]: size_of(one) for one in old}
    in_order = sorted(old, key=lambda one: str(one["metadata"]["creationTimestamp"]))
    for one in in_order:  # replicas that do not work cost no availability
        sick = max(0, size_of(one) - _available(one))
        taken = min(budget, sick)
        sizes[one["metadata"]["uid"]] -= taken
        budget -= taken
    # a set that was just resized still tells its former availability: it cannot have more than it is to have
    spare = sum(min(_available(one), size_of(one)) for one in sets) - minimum
    for one in in_order:
        taken = max(0, min(spare, sizes[one["metadata"]["uid"]]))
        sizes[one["metadata"]["uid"]] -= taken
        spare -= taken
    return [
        (one, sizes[one["metadata"]["uid"]])
        for one in in_order
        if sizes[one["metadata"]["uid"]] != size_of(one)
    ]


def plan_proportional(deployment: JsonObject, sets: Sequence[JsonObject]) -> list[tuple[JsonObject, int]]:
    """Return new sizes when the Deployment was scaled amid a rollout: every active set grows or shrinks by its share."""
    wanted = deployment["spec"].get("replicas", 1)
    surge, _ = resolve_bounds(deployment)
    allowed = wanted + surge if wanted else 0
    active = [one for one in sets if size_of(one) > 0]
    total = sum(size_of(one) for one in active)
    to_add = allowed - total
    if not active or to_add == 0:
        return []
    newest_first = sorted(active, key=lambda one: str(one["metadata"]["creationTimestamp"]), reverse=True)
    by_size = sorted(newest_first, key=size_of, reverse=True)
    planned, added = [], 0
    for one in by_size:
        share = _fraction(one, deployment, allowed, to_add, added)
        planned.append((one, size_of(one) + share))
        added += share
    first, size = planned[0]
    planned[0] = (first, max(0, size + to_add - added))
    return [(one, size) for one, size in planned if size != size_of(one)]


def _fraction(one: JsonObject, deployment: JsonObject, allowed: int, to_add: int, added: int) -> int:
    if not to_add:
        return 0
    text = (one["metadata"].get("annotations") or {}).get(MAXIMUM, "")
    maximum = int(text) if text.isdigit() else deployment["spec"].get("replicas", 1)
    share = round(size_of(one) * allowed / maximum) - size_of(one) if maximum else 0
    left = to_add - added
    return min(share, left) if to_add > 0 else max(share, left)

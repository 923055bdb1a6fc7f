"""Which daemon pods to make and delete, and the status: pure.

Source: kubernetes/pkg/controller/daemon/{daemon_controller,update}.go v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from k3py.controllers.pod import available_in_s, is_ready, phase_of
from k3py.controllers.share import resolve_share
from k3py.controllers.workloads.daemon_set.placement import is_updated, place, target_node

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from k3py.jsontypes import JsonObject


@dataclass(slots=True)
class PodChanges:
    """create: names of nodes that need a pod; delete: pods that go; ended: those among them that failed or succeeded."""

    create: list[str] = field(default_factory=list)
    delete: list[JsonObject] = field(default_factory=list)
    ended: list[JsonObject] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A DaemonSet as it is seen now.

    nodes: all nodes; pods: the set's pods by target node; digest: hash of the present revision.
    """

    daemon_set: JsonObject
    nodes: Sequence[JsonObject]
    pods: Mapping[str, Sequence[JsonObject]]
    digest: str
    now: datetime

    def is_available(self, pod: JsonObject) -> bool:
        """Say whether a pod has been ready for long enough."""
        return available_in_s(pod, self.daemon_set["spec"].get("minReadySeconds", 0), self.now) == 0

    def is_updated(self, pod: JsonObject) -> bool:
        """Say whether a pod is of the present template."""
        return is_updated(self.daemon_set, pod, self.digest)


def group_by_node(pods: Sequence[JsonObject]) -> dict[str, list[JsonObject]]:
    """Return pods by target node, oldest first; ended pods that are being deleted do not count."""
    groups: dict[str, list[JsonObject]] = {}
    for pod in sorted(pods, key=_age):
        if "deletionTimestamp" in pod["metadata"] and phase_of(pod) in ("Failed", "Succeeded"):
            continue
        groups.setdefault(target_node(pod), []).append(pod)
    return groups


def _age(pod: JsonObject) -> tuple[bool, str, str]:
    return (not pod["spec"].get("nodeName"), pod["metadata"]["creationTimestamp"], pod["metadata"]["name"])


def plan_nodes(view: View, held_back: Collection[str]) -> PodChanges:
    """One pod on each node that shall have one, none on the others.

    held_back: uids of failed pods that wait before they are replaced.
    """
    changes = PodChanges()
    surge, _ = resolve_bounds(view)
    known = set()
    for node in view.nodes:
        name = node["metadata"]["name"]
        known.add(name)
        pods = view.pods.get(name, ())
        verdict = place(view.daemon_set, node)
        if verdict.run and not pods:
            changes.create.append(name)
        elif verdict.stay:
            _plan_stay(view, pods, changes, held_back, surges=surge > 0)
        else:
            changes.delete += [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    for name, pods in view.pods.items():
        if name and name not in known:
            changes.delete += [
                pod
                for pod in pods
                if not pod["spec"].get("nodeName") and "deletionTimestamp" not in pod["metadata"]
            ]
    return changes


def _plan_stay(
    view: View, pods: Sequence[JsonObject], changes: PodChanges, held_back: Collection[str], *, surges: bool
) -> None:
    running = []
    for pod in pods:
        if "deletionTimestamp" in pod["metadata"]:
            continue
        if phase_of(pod) in ("Failed", "Succeeded"):
            if pod["metadata"]["uid"] not in held_back:
                changes.ended.append(pod)
                changes.delete.append(pod)
        else:
            running.append(pod)
    if not surges:
        changes.delete += running[1:]
        return
    new = [pod for pod in running if view.is_updated(pod)]
    old = [pod for pod in running if not view.is_updated(pod)]
    changes.delete += [*new[1:], *old[1:]]
    if new and old and (not is_ready(old[0]) or view.is_available(new[0])):
        changes.delete.append(old[0])


def resolve_bounds(view: View) -> tuple[int, int]:
    """Return (surge, unavailable) of a rolling update in pods; both 0 would stall, then one may be unavailable."""
    strategy = view.daemon_set["spec"].get("updateStrategy") or {}
    rolling = strategy.get("rollingUpdate") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return 0, 0
    desired = sum(1 for node in view.nodes if place(view.daemon_set, node).run)
    surge = resolve_share(rolling.get("maxSurge", 0), desired, round_up=True)
    unavailable = resolve_share(rolling.get("maxUnavailable", 1), desired, round_up=True)
    if desired and not surge and not unavailable:
        unavailable = 1
    return surge, unavailable


def plan_rolling(view: View) -> PodChanges:
    """Replace pods of older templates, as many at a time as the strategy allows."""
    surge, unavailable = resolve_bounds(view)
    return _plan_surging(view, surge) if surge else _plan_replacing(view, unavailable)


def _pair(view: View, pods: Sequence[JsonObject]) -> tuple[JsonObject | None, JsonObject | None] | None:
    """Return (new, old) of a node, or None when there are several of a sort: `plan_nodes` cleans up first."""
    alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    new = [pod for pod in alive if view.is_updated(pod)]
    old = [pod for pod in alive if not view.is_updated(pod)]
    if len(new) > 1 or len(old) > 1:
        return None
    return (new[0] if new else None), (old[0] if old else None)


def _plan_replacing(view: View, unavailable: int) -> PodChanges:
    # A node whose old pod is gone already and whose new one is still to be made.
    missing = sum(
        not view.pods.get(node["metadata"]["name"]) and place(view.daemon_set, node).run
        for node in view.nodes
    )
    free: list[JsonObject] = []
    candidates: list[JsonObject] = []
    for name, pods in view.pods.items():
        if not name:
            continue
        pair = _pair(view, pods)
        if pair is None or (pair[0] is None) == (pair[1] is None):
            missing += 1
            continue
        new, old = pair
        if new is not None:
            missing += not view.is_available(new)
        elif old is not None and view.is_available(old):
            candidates.append(old)
        elif old is not None:
            free.append(old)
            missing += 1
    return PodChanges(delete=[*free, *candidates[: max(0, unavailable - missing)]])


def _plan_surging(view: View, surge: int) -> PodChanges:
    surged = 0
    free: list[str] = []
    candidates: list[str] = []
    changes = PodChanges()
    for name, pods in view.pods.items():
        pair = _pair(view, pods)
        if pair is None:
            surged += 1
            continue
        new, old = pair
        if old is None or not name:
            continue
        if new is None:
            (candidates if view.is_available(old) else free).append(name)
        elif view.is_available(new):
            changes.delete.append(old)
        else:
            surged += 1
    changes.create = [*free, *candidates[: max(0, surge - surged)]]
    return changes


def plan_status(view: View, observed: int, collisions: int | None) -> tuple[JsonObject, float | None]:
    """Return the status and the seconds until a ready pod becomes available (None: nothing to wait for)."""
    desired = current = misscheduled = ready = available = updated = 0
    wait_s: float | None = None
    minimum_s = view.daemon_set["spec"].get("minReadySeconds", 0)
    for node in view.nodes:
        pods = view.pods.get(node["metadata"]["name"], ())
        if not place(view.daemon_set, node).run:
            misscheduled += bool(pods)
            continue
        desired += 1
        if not pods:
            continue
        current += 1
        pod = pods[0]
        left_s = available_in_s(pod, minimum_s, view.now)
        if left_s is not None:
            ready += 1
            available += left_s == 0
            if left_s > 0:
                wait_s = left_s if wait_s is None else min(wait_s, left_s)
        updated += view.is_updated(pod)
    status: JsonObject = {
        "currentNumberScheduled": current,
        "numberMisscheduled": misscheduled,
        "desiredNumberScheduled": desired,
        "numberReady": ready,
        "observedGeneration": observed,
        "updatedNumberScheduled": updated,
        "numberAvailable": available,
        "numberUnavailable": desired - available,
    }
    for optional in ("observedGeneration", "updatedNumberScheduled", "numberAvailable", "numberUnavailable"):
        if not status[optional]:
            del status[optional]
    if collisions is not None:
        status["collisionCount"] = collisions
    conditions = (view.daemon_set.get("status") or {}).get("conditions")
    if conditions:
        status["conditions"] = conditions
    return status, wait_s

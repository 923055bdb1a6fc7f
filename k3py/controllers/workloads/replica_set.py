"""Keeps as many pods as a ReplicaSet (or a ReplicationController, which is the same in old words) asks for.

Source: kubernetes/pkg/controller/replicaset v1.35: expectations, slow start, deletion order, adoption, status.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.object import key_of, split_key
from k3py.api.resource import PODS, REPLICA_SETS
from k3py.api.selectors import selector_from_object
from k3py.api.timestamps import format_time
from k3py.client.expectations import Expectations
from k3py.controllers.interface import Watch
from k3py.controllers.ownership import (
    CONTROLLER_INDEX,
    ORPHAN_INDEX,
    claim,
    find_controller,
    index_by_controller,
    index_orphans,
)
from k3py.controllers.pod import available_in_s, is_active, is_terminating
from k3py.controllers.workloads.pod_control import PodControl, make_pod
from k3py.controllers.workloads.pod_ranking import rank_for_deletion
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from k3py.api.resource import Resource
    from k3py.api.selectors import LabelSelector
    from k3py.api.status import ApiError
    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

BURST: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaPlan:
    """How many pods to make and which to delete; at most one of the two."""

    create: int = 0
    delete: tuple[JsonObject, ...] = ()


def plan_replicas(
    replica_set: JsonObject, active: Sequence[JsonObject], related: Sequence[JsonObject], now: datetime
) -> ReplicaPlan:
    """Compare wanted and active pods.

    Args:
        replica_set: the ReplicaSet.
        active: its pods that count, read-only.
        related: pods of the same owner's other ReplicaSets too: crowded nodes give first.
        now: for ages of readiness.
    """
    wanted = replica_set["spec"].get("replicas", 1)
    if len(active) < wanted:
        return ReplicaPlan(create=min(wanted - len(active), BURST))
    surplus = min(len(active) - wanted, BURST)
    if surplus:
        return ReplicaPlan(delete=tuple(rank_for_deletion(active, related, now)[:surplus]))
    return ReplicaPlan()


def plan_status(
    replica_set: JsonObject, pods: Sequence[JsonObject], failure: str, now: datetime
) -> tuple[JsonObject, float | None]:
    """Return the status and the seconds until a ready pod becomes available (None: nothing to wait for).

    pods: all owned ones, terminating ones too. failure: message of a failed create or delete, "" = none.
    """
    spec = replica_set["spec"]
    active = [pod for pod in pods if is_active(pod)]
    wanted_labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    minimum_s = spec.get("minReadySeconds", 0)
    fully = ready = available = 0
    wait_s: float | None = None
    for pod in active:
        labels = pod["metadata"].get("labels") or {}
        fully += all(labels.get(key) == value for key, value in wanted_labels.items())
        left_s = available_in_s(pod, minimum_s, now)
        if left_s is None:
            continue
        ready += 1
        if left_s <= 0:
            available += 1
        else:
            wait_s = left_s if wait_s is None else min(wait_s, left_s)
    old = replica_set.get("status") or {}
    status: JsonObject = {
        "replicas": len(active),
        "fullyLabeledReplicas": fully,
        "readyReplicas": ready,
        "availableReplicas": available,
        "terminatingReplicas": sum(1 for pod in pods if is_terminating(pod)),
        "observedGeneration": replica_set["metadata"].get("generation", 0),
    }
    for optional in ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"):
        if not status[optional]:
            del status[optional]
    conditions = [one for one in old.get("conditions") or () if one["type"] != "ReplicaFailure"]
    known = next((one for one in old.get("conditions") or () if one["type"] == "ReplicaFailure"), None)
    if failure:
        reason = "FailedCreate" if len(active) < spec.get("replicas", 1) else "FailedDelete"
        if known is None or known["reason"] != reason:
            known = {
                "type": "ReplicaFailure",
                "status": "True",
                "lastTransitionTime": format_time(now),
                "reason": reason,
                "message": failure,
            }
        conditions.append(known)
    if conditions:
        status["conditions"] = conditions
    return status, wait_s


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaKind:
    """What differs between a ReplicaSet and a ReplicationController.

    selector_of(obj): its selector. shows_terminating: status.terminatingReplicas is there.
    """

    name: str
    resource: Resource
    selector_of: Callable[[JsonObject], LabelSelector]
    shows_terminating: bool


def _selector_of_set(obj: JsonObject) -> LabelSelector:
    return selector_from_object(obj["spec"].get("selector"))


REPLICA_SET: Final = ReplicaKind(
    name="replicaset-controller",
    resource=REPLICA_SETS,
    selector_of=_selector_of_set,
    shows_terminating=True,
)


class ReplicaSetController:
    """See the module."""

    workers = 5

    def __init__(self, context: ControllerContext, kind: ReplicaKind) -> None:
        self._kind = kind
        self._client = context.client
        self._control = PodControl(context.client, context.recorder)
        sets = context.informers.informer(kind.resource)
        pods = context.informers.informer(PODS)
        sets.add_index(CONTROLLER_INDEX, index_by_controller)
        pods.add_index(CONTROLLER_INDEX, index_by_controller)
        pods.add_index(ORPHAN_INDEX, index_orphans)
        self._sets, self._pods = sets.lister, pods.lister
        self._expectations = Expectations()
        self.watches = (Watch(sets, self._keys_of_set), Watch(pods, self._keys_of_pod))

    @property
    def name(self) -> str:
        """Upstream's name."""
        return self._kind.name

    def _keys_of_set(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        obj = new or old
        if obj is None:
            return ()
        if new is None:
            self._expectations.delete(key_of(obj))
        return (key_of(obj),)

    def _keys_of_pod(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        keys: set[str] = set()
        for pod in (old, new):
            if pod is None:
                continue
            reference = find_controller(pod)
            namespace = pod["metadata"]["namespace"]
            if reference is not None:
                if reference["kind"] == self._kind.resource.kind:
                    keys.add(f"{namespace}/{reference['name']}")
            elif pod is new:
                keys.update(self._keys_matching(pod))
        reference = find_controller(new or old or {"metadata": {}})
        if reference is not None and reference["kind"] == self._kind.resource.kind:
            pod = new or old
            if pod is not None:
                key = f"{pod['metadata']['namespace']}/{reference['name']}"
                if old is None:
                    self._expectations.creation_observed(key)
                if new is None or "deletionTimestamp" in new["metadata"]:
                    self._expectations.deletion_observed(key, pod["metadata"]["uid"])
        return keys

    def _keys_matching(self, pod: JsonObject) -> Iterable[str]:
        labels = pod["metadata"].get("labels") or {}
        if not labels:
            return
        for one in self._sets.list(pod["metadata"]["namespace"]):
            if self._kind.selector_of(one).matches(labels):
                yield key_of(one)

    async def reconcile(self, key: str) -> float | None:
        """Create or delete pods until there are as many as wanted; then tell the status."""
        namespace, name = split_key(key)
        replica_set = self._sets.find(namespace, name)
        if replica_set is None:
            self._expectations.delete(key)
            return None
        needs_sync = self._expectations.satisfied(key)
        uid = replica_set["metadata"]["uid"]
        candidates = [
            *self._pods.by_index(CONTROLLER_INDEX, uid),
            *self._pods.by_index(ORPHAN_INDEX, namespace),
        ]
        pods = await claim(
            self._client,
            owner=replica_set,
            owner_resource=self._kind.resource,
            resource=PODS,
            selector=self._kind.selector_of(replica_set),
            candidates=candidates,
        )
        failure: ApiError | None = None
        if needs_sync and "deletionTimestamp" not in replica_set["metadata"]:
            active = [pod for pod in pods if is_active(pod)]
            plan = plan_replicas(replica_set, active, self._related(replica_set, active), clock.now())
            failure = await self._carry_out(key, replica_set, plan)
        wait_s = await self._update_status(replica_set, pods, failure)
        if failure is not None:
            raise failure
        return wait_s

    def _related(self, replica_set: JsonObject, active: Sequence[JsonObject]) -> Sequence[JsonObject]:
        reference = find_controller(replica_set)
        if reference is None:
            return active
        siblings = (
            one
            for one in self._sets.list(replica_set["metadata"]["namespace"])
            if (find_controller(one) or {}).get("uid") == reference["uid"]
        )
        return [
            pod
            for one in siblings
            for pod in self._pods.by_index(CONTROLLER_INDEX, one["metadata"]["uid"])
            if is_active(pod)
        ]

    async def _carry_out(self, key: str, replica_set: JsonObject, plan: ReplicaPlan) -> ApiError | None:
        if plan.create:
            self._expectations.expect_creations(key, plan.create)
            pods = [make_pod(replica_set, self._kind.resource) for _ in range(plan.create)]
            return await self._control.create_all(
                replica_set, pods, lambda: self._expectations.creation_observed(key)
            )
        if plan.delete:
            return await self._delete(key, replica_set, plan.delete)
        return None

    async def _delete(self, key: str, replica_set: JsonObject, pods: Sequence[JsonObject]) -> ApiError | None:
        self._expectations.expect_deletions(key, [pod["metadata"]["uid"] for pod in pods])
        failure: ApiError | None = None
        for pod in pods:
            error = await self._control.delete(replica_set, pod)
            if error is not None:
                self._expectations.deletion_observed(key, pod["metadata"]["uid"])
                if error.code != 404:
                    failure = error
        return failure

    async def _update_status(
        self, replica_set: JsonObject, pods: Sequence[JsonObject], failure: ApiError | None
    ) -> float | None:
        status, wait_s = plan_status(replica_set, pods, failure.message if failure else "", clock.now())
        if not self._kind.shows_terminating:
            del status["terminatingReplicas"]
        if status != (replica_set.get("status") or {}):
            changed = {**replica_set, "status": status}
            await self._client.update(self._kind.resource, changed, subresource="status")
        return wait_s


def build(context: ControllerContext) -> ReplicaSetController:
    """Make the controller."""
    return ReplicaSetController(context, REPLICA_SET)

"""The garbage collector: one object a key (its uid), decided from the graph and, before deleting, from the live object.

Source: kubernetes/pkg/controller/garbagecollector v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from k3py.api.status import ApiError
from k3py.client.interface import PatchType
from k3py.controllers.interface import Watch
from k3py.controllers.lifecycle.garbage_collector.graph import (
    FOREGROUND,
    ORPHAN,
    Graph,
    Node,
    Owner,
    read_node,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from k3py.api.kind import Kind
    from k3py.api.resource import Resource
    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

_MOST_GONE: Final = 500
_IGNORED: Final = frozenset((("", "events"), ("events.k8s.io", "events")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of an object: owners to strike from its list, or delete it with a policy ("" = keep)."""

    strike: tuple[str, ...] = ()
    delete: str = ""


def plan_verdict(
    node: Node, *, absent: Sequence[Owner], waiting: Sequence[Owner], has_dependents: bool
) -> Verdict:
    """Judge an object by its owners: those that are gone, those that wait for it in a foreground deletion, the rest are solid."""
    solid = len(node.owners) - len(absent) - len(waiting)
    if not node.owners or (not absent and not waiting):
        return Verdict()
    if solid > 0:
        return Verdict(strike=tuple(one.uid for one in (*absent, *waiting)))
    if waiting and has_dependents:
        return Verdict(delete="Foreground")
    if ORPHAN in node.finalizers:
        return Verdict(delete="Orphan")
    return Verdict(delete="Foreground" if FOREGROUND in node.finalizers else "Background")


class GarbageCollector:
    """See the module."""

    name = "garbage-collector-controller"
    workers = 20

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._kinds = context.kinds
        self._informers = context.informers
        self._recorder = context.recorder
        self._graph = Graph()
        self._gone: dict[str, None] = {}
        self._watches: dict[Resource, Watch] = {}
        self._take_up_kinds()

    @property
    def watches(self) -> Sequence[Watch]:
        """All kinds that can be deleted."""
        return tuple(self._watches.values())

    def follow(self, add: Callable[[Watch], None]) -> None:
        """Take up kinds that come, and let those go that are served no longer."""
        self._kinds.subscribe(partial(self._take_up_kinds, add))

    def _take_up_kinds(self, add: Callable[[Watch], None] | None = None) -> None:
        wanted = {kind.resource for kind in self._kinds.list_stores() if _is_collected(kind)}
        for resource in self._watches.keys() - wanted:
            del self._watches[resource]
            self._graph.remove_all(resource)
            self._informers.drop(resource)
        for resource in wanted - self._watches.keys():
            watch = Watch(self._informers.informer(resource), partial(self._keys_of, resource))
            self._watches[resource] = watch
            if add is not None:
                add(watch)

    def _keys_of(self, resource: Resource, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        if new is not None:
            node = read_node(resource, new)
            if node == self._graph.find(node.uid):
                return (node.uid,) if old is None else ()
            before = self._graph.put(node)
            affected = set() if before is None else set(self._graph.uids_waiting_for(before))
            if node.owners or node.deleting:
                affected.update(self._graph.uids_affected_by(node))
            return affected
        if old is None:
            return ()
        node = read_node(resource, old)
        others = [uid for uid in self._graph.uids_affected_by(node) if uid != node.uid]
        self._graph.remove(node.uid)
        self._remember_gone(node.uid)
        return others

    def _remember_gone(self, uid: str) -> None:
        """Keep in mind that an object is gone: when its kind goes as well, nobody can be asked any more."""
        self._gone[uid] = None
        while len(self._gone) > _MOST_GONE:
            del self._gone[next(iter(self._gone))]

    async def reconcile(self, key: str) -> float | None:
        """Judge the object with uid `key` and carry the verdict out."""
        node = self._graph.find(key)
        if node is None:
            return None
        if node.orphans_dependents:
            await self._orphan(node)
        elif node.deletes_dependents_first:
            await self._finish_foreground(node)
        elif not node.deleting:
            await self._judge(node)
        return None

    async def _judge(self, node: Node) -> None:
        if self._names_owner_elsewhere(node):
            return
        absent, waiting = await self._sort_owners(node)
        if not absent and not waiting:
            return
        try:
            live = await self._client.get(node.resource, node.name, namespace=node.namespace)
        except ApiError as error:
            if error.code == 404:
                return
            raise
        if live["metadata"]["uid"] != node.uid:
            return
        current = read_node(node.resource, live)
        if current.owners != node.owners:
            absent, waiting = await self._sort_owners(current)
        verdict = plan_verdict(
            current,
            absent=absent,
            waiting=waiting,
            has_dependents=bool(self._graph.dependents_of(node.uid)),
        )
        if verdict.strike:
            await self._strike(current, verdict.strike)
        elif verdict.delete:
            if verdict.delete == "Foreground" and self._is_in_circle(node):
                await self._unblock(current)
            await self._delete(current, verdict.delete)

    async def _sort_owners(self, node: Node) -> tuple[list[Owner], list[Owner]]:
        absent, waiting = [], []
        for owner in node.owners:
            known = self._graph.find(owner.uid)
            if owner.uid in self._gone:
                absent.append(owner)
            elif known is None:
                if not await self._exists(owner, node.namespace):
                    absent.append(owner)
            elif known.namespace and known.namespace != node.namespace:
                absent.append(owner)
            elif known.deletes_dependents_first:
                waiting.append(owner)
        return absent, waiting

    def _names_owner_elsewhere(self, node: Node) -> bool:
        """Say whether a cluster-scoped object names an owner of a namespace, which cannot be looked up: it is kept, and told of.

        A namespaced object whose owner lives in another namespace is told of too, but loses that owner.
        """
        foreign = False
        for owner in node.owners:
            kind = self._kinds.find_by_kind(owner.api_version, owner.kind)
            known = self._graph.find(owner.uid)
            elsewhere = known is not None and known.namespace not in ("", node.namespace)
            if elsewhere:
                self._tell_of_owner(node, owner)
            foreign = foreign or (not node.namespace and kind is not None and kind.namespaced)
        return foreign

    def _tell_of_owner(self, node: Node, owner: Owner) -> None:
        named = f"[{owner.api_version}/{owner.kind}, namespace: {node.namespace}, name: {owner.name}, uid: {owner.uid}]"
        metadata = {"name": node.name, "namespace": node.namespace, "uid": node.uid}
        self._recorder.event(
            {"apiVersion": node.resource.api_version, "kind": node.resource.kind, "metadata": metadata},
            "Warning",
            "OwnerRefInvalidNamespace",
            f'ownerRef {named} does not exist in namespace "{node.namespace}"',
        )

    def _is_in_circle(self, node: Node) -> bool:
        """Say whether an object waits for one that may wait for it; with false positives, as upstream's."""
        return any(one.deletes_dependents_first for one in self._graph.dependents_of(node.uid))

    async def _unblock(self, node: Node) -> None:
        """Let no owner wait for this object."""
        try:
            live = await self._client.get(node.resource, node.name, namespace=node.namespace)
        except ApiError as error:
            if error.code == 404:
                return
            raise
        references = [
            {**one, "blockOwnerDeletion": False} for one in live["metadata"].get("ownerReferences") or ()
        ]
        metadata = {
            "uid": node.uid,
            "resourceVersion": live["metadata"]["resourceVersion"],
            "ownerReferences": references,
        }
        await self._patch(node, {"metadata": metadata}, PatchType.MERGE)

    async def _exists(self, owner: Owner, namespace: str) -> bool:
        """Ask the API: the graph may simply not know it yet. Owners of unknown kinds count as there."""
        kind = self._kinds.find_by_kind(owner.api_version, owner.kind)
        if kind is None:
            return True
        try:
            live = await self._client.get(
                kind.resource, owner.name, namespace=namespace if kind.namespaced else ""
            )
        except ApiError as error:
            if error.code == 404:
                return False
            raise
        return bool(live["metadata"]["uid"] == owner.uid)

    async def _strike(self, node: Node, uids: Sequence[str]) -> None:
        kind = self._kinds.find(node.resource.group, node.resource.version, node.resource.plural)
        if kind is not None and kind.structure is not None:  # custom resources know no strategic patches
            await self._strike_by_merge(node, uids)
            return
        references = [{"$patch": "delete", "uid": uid} for uid in uids]
        await self._patch(node, {"metadata": {"uid": node.uid, "ownerReferences": references}})

    async def _strike_by_merge(self, node: Node, uids: Sequence[str]) -> None:
        """Write the owners that stay; fails if the object changed in between, and is tried again then."""
        try:
            live = await self._client.get(node.resource, node.name, namespace=node.namespace)
        except ApiError as error:
            if error.code == 404:
                return
            raise
        kept = [one for one in live["metadata"].get("ownerReferences") or () if one["uid"] not in uids]
        metadata = {
            "uid": node.uid,
            "resourceVersion": live["metadata"]["resourceVersion"],
            "ownerReferences": kept or None,
        }
        await self._patch(node, {"metadata": metadata}, PatchType.MERGE)

    async def _delete(self, node: Node, policy: str) -> None:
        try:
            await self._client.delete(
                node.resource,
                node.name,
                namespace=node.namespace,
                propagation_policy=policy,
                uid=node.uid,
            )
        except ApiError as error:
            if error.code not in (404, 409):  # gone, or another object of that name
                raise

    async def _orphan(self, node: Node) -> None:
        for dependent in self._graph.dependents_of(node.uid):
            await self._strike(dependent, (node.uid,))
        await self._drop_finalizer(node, ORPHAN)

    async def _finish_foreground(self, node: Node) -> None:
        blocking = [
            dependent
            for dependent in self._graph.dependents_of(node.uid)
            if any(owner.uid == node.uid and owner.blocks for owner in dependent.owners)
        ]
        if not blocking:
            await self._drop_finalizer(node, FOREGROUND)
            return
        for dependent in blocking:
            if not dependent.deleting:
                await self._judge(dependent)

    async def _drop_finalizer(self, node: Node, finalizer: str) -> None:
        """Remove by a patch that fails if the object changed in between; then its event brings us back."""
        try:
            live = await self._client.get(node.resource, node.name, namespace=node.namespace)
        except ApiError as error:
            if error.code == 404:
                return
            raise
        finalizers = [one for one in live["metadata"].get("finalizers") or () if one != finalizer]
        metadata = {
            "uid": node.uid,
            "resourceVersion": live["metadata"]["resourceVersion"],
            "finalizers": finalizers or None,
        }
        await self._patch(node, {"metadata": metadata}, PatchType.MERGE)

    async def _patch(
        self, node: Node, patch: JsonObject, patch_type: PatchType = PatchType.STRATEGIC
    ) -> None:
        try:
            await self._client.patch(
                node.resource, node.name, patch, patch_type=patch_type, namespace=node.namespace
            )
        except ApiError as error:
            if error.code != 404:
                raise


def _is_collected(kind: Kind) -> bool:
    wanted = {"list", "watch", "delete"} <= set(kind.verbs)
    return wanted and (kind.group, kind.plural) not in _IGNORED


def build(context: ControllerContext) -> GarbageCollector:
    """Make the controller."""
    return GarbageCollector(context)

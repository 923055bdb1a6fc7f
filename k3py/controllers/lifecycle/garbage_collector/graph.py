"""Who owns whom, by uid. Pure data, fed by informers of every kind.

Source: kubernetes/pkg/controller/garbagecollector/graph.go v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.api.resource import Resource
    from k3py.jsontypes import JsonObject

FOREGROUND: Final = "foregroundDeletion"
ORPHAN: Final = "orphan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """One owner reference."""

    uid: str
    api_version: str
    kind: str
    name: str
    blocks: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What the collector keeps of an object."""

    uid: str
    resource: Resource
    namespace: str
    name: str
    owners: tuple[Owner, ...]
    finalizers: tuple[str, ...]
    deleting: bool

    @property
    def deletes_dependents_first(self) -> bool:
        """Say whether a foreground deletion is under way."""
        return self.deleting and FOREGROUND in self.finalizers

    @property
    def orphans_dependents(self) -> bool:
        """Say whether an orphaning deletion is under way."""
        return self.deleting and ORPHAN in self.finalizers


def read_node(resource: Resource, obj: JsonObject) -> Node:
    """Take from an object what the graph needs."""
    metadata = obj["metadata"]
    return Node(
        uid=metadata["uid"],
        resource=resource,
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        owners=tuple(
            Owner(
                uid=one["uid"],
                api_version=one["apiVersion"],
                kind=one["kind"],
                name=one["name"],
                blocks=bool(one.get("blockOwnerDeletion")),
            )
            for one in metadata.get("ownerReferences") or ()
        ),
        finalizers=tuple(metadata.get("finalizers") or ()),
        deleting="deletionTimestamp" in metadata,
    )


class Graph:
    """Nodes by uid, and the uids of each owner's dependents. Objects that nobody owns and that own nothing cost one small node."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._dependents: dict[str, set[str]] = {}

    def put(self, node: Node) -> Node | None:
        """Add or replace a node; return what it was before."""
        old = self._nodes.get(node.uid)
        for owner in old.owners if old is not None else ():
            self._forget_dependent(owner.uid, node.uid)
        self._nodes[node.uid] = node
        for owner in node.owners:
            self._dependents.setdefault(owner.uid, set()).add(node.uid)
        return old

    def remove(self, uid: str) -> Node | None:
        """Remove a node and return it, if it was there; its dependents stay and lose it by uid."""
        node = self._nodes.pop(uid, None)
        for owner in node.owners if node is not None else ():
            self._forget_dependent(owner.uid, uid)
        return node

    def remove_all(self, resource: Resource) -> None:
        """Remove the nodes of a resource that is served no longer."""
        for uid in [uid for uid, node in self._nodes.items() if node.resource == resource]:
            self.remove(uid)

    def _forget_dependent(self, owner: str, dependent: str) -> None:
        dependents = self._dependents.get(owner)
        if dependents is not None:
            dependents.discard(dependent)
            if not dependents:
                del self._dependents[owner]

    def find(self, uid: str) -> Node | None:
        """Return the node of a uid, if known."""
        return self._nodes.get(uid)

    def dependents_of(self, uid: str) -> list[Node]:
        """Return the known objects that name `uid` as an owner."""
        found = (self._nodes.get(one) for one in self._dependents.get(uid, ()))
        return [one for one in found if one is not None]

    def uids_affected_by(self, node: Node) -> Iterable[str]:
        """Return the uids to look at when `node` changed: itself, its dependents, and owners that wait for it."""
        yield node.uid
        yield from self._dependents.get(node.uid, ())
        yield from self.uids_waiting_for(node)

    def uids_waiting_for(self, node: Node) -> Iterable[str]:
        """Return the uids of owners that wait for `node` in a foreground deletion."""
        for owner in node.owners:
            known = self._nodes.get(owner.uid)
            if known is not None and known.deletes_dependents_first:
                yield owner.uid

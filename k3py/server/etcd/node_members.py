"""A controller that ties members to Nodes: marks this server's Node, and removes the member of a Node that is deleted (J-82, P-27).

Names of labels, annotations, condition and finalizer are K3s'. The finalizer keeps a Node until its member is gone. Every server runs it: whichever
is first removes the member, for the others it is gone already; but no server removes its own while there are others.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from k3py.api.resource import NODES
from k3py.api.timestamps import format_time
from k3py.client.interface import PatchType
from k3py.controllers.interface import Watch
from k3py.datastore.errors import DatastoreError
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from k3py.client.interface import Client, InformerFactory
    from k3py.jsontypes import JsonObject
    from k3py.server.etcd.membership import Member

log = logging.getLogger(__name__)

ROLE: Final = "node-role.kubernetes.io/etcd"
MEMBER: Final = "etcd.k3s.cattle.io/node-name"
ADDRESS: Final = "etcd.k3s.cattle.io/node-address"
REMOVE: Final = "etcd.k3s.cattle.io/remove"
REMOVED: Final = "etcd.k3s.cattle.io/removed-node-name"
FINALIZER: Final = "wrangler.cattle.io/managed-etcd-controller"
CONDITION: Final = "EtcdIsVoter"
RETRY_S: Final = 2.0


class Members(Protocol):
    """What is asked of the members."""

    async def members(self) -> list[Member]:
        """Return all of them."""

    async def remove(self, member_id: int) -> None:
        """Remove one."""


class NodeMembers:
    """See `Controller`.

    Args:
        client, informers: of an identity that may change Nodes.
        node_name: this server's Node. member_name: its member. address: under which other members reach it.
        ask: opens the membership.
    """

    name = "managed-etcd-controller"
    workers = 1

    def __init__(
        self,
        client: Client,
        informers: InformerFactory,
        *,
        node_name: str,
        member_name: str,
        address: str,
        ask: Callable[[], AbstractAsyncContextManager[Members]],
    ) -> None:
        self._client = client
        self._nodes = informers.informer(NODES)
        self._node_name = node_name
        self._member_name = member_name
        self._address = address
        self._ask = ask
        self._told: set[str] = set()

    @property
    def watches(self) -> Sequence[Watch]:
        """Return what wakes it: Nodes that appear or change."""
        return (Watch(self._nodes, self._keys),)

    def _keys(self, old: JsonObject | None, new: JsonObject | None) -> Sequence[str]:
        if new is None:
            return ()
        name = new["metadata"]["name"]
        return (name,) if name == self._node_name or _is_leaving(new) else ()

    async def reconcile(self, key: str) -> float | None:
        """Bring one Node and its member together; seconds until the next try, if etcd refuses for now."""
        node = self._nodes.lister.find("", key)
        if node is None:
            return None
        try:
            if _is_leaving(node):
                await self._remove(node)
            elif key == self._node_name:
                await self._mark(node)
        except DatastoreError as error:
            if key not in self._told:
                self._told.add(key)
                log.warning("cannot remove a member yet", extra={"node": key, "error": str(error)})
            return RETRY_S
        self._told.discard(key)
        return None

    async def _mark(self, node: JsonObject) -> None:
        patch = plan_mark(node, member_name=self._member_name, address=self._address)
        if patch is not None:
            await self._patch(node, patch)
        condition = plan_condition(node)
        if condition is not None:
            await self._client.patch(
                NODES, self._node_name, {"status": {"conditions": [condition]}}, subresource="status"
            )

    async def _remove(self, node: JsonObject) -> None:
        name = (node["metadata"].get("annotations") or {}).get(MEMBER, "")
        is_deleted = bool(node["metadata"].get("deletionTimestamp"))
        if name:
            async with self._ask() as membership:
                members = await membership.members()
                found = next((one for one in members if one.name == name), None)
                if found is not None and len(members) > 1:
                    if name == self._member_name:
                        return  # another server's to do
                    await membership.remove(found.id)
                    log.info(
                        "removed a member with its Node",
                        extra={"node": node["metadata"]["name"], "member": name},
                    )
                elif found is not None and not is_deleted:
                    return  # the only one stays
        patch = plan_release(node, name)
        if patch is not None:
            await self._patch(node, patch)

    async def _patch(self, node: JsonObject, metadata: JsonObject) -> None:
        """Change metadata, if the Node is still what was seen."""
        metadata["resourceVersion"] = node["metadata"]["resourceVersion"]
        await self._client.patch(
            NODES, node["metadata"]["name"], {"metadata": metadata}, patch_type=PatchType.MERGE
        )


def _is_leaving(node: JsonObject) -> bool:
    """Say whether the Node's member is to be removed."""
    metadata = node["metadata"]
    if metadata.get("deletionTimestamp"):
        return FINALIZER in (metadata.get("finalizers") or ())
    annotations = metadata.get("annotations") or {}
    return annotations.get(REMOVE) == "true" and bool(annotations.get(MEMBER))


def plan_mark(node: JsonObject, *, member_name: str, address: str) -> JsonObject | None:
    """Return the change of metadata that ties a Node to this server's member, None if it is tied."""
    metadata = node["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    wanted: JsonObject = {MEMBER: member_name, ADDRESS: address}
    if annotations.get(REMOVED, member_name) != member_name:  # it has joined anew
        wanted |= {REMOVE: None, REMOVED: None}
    changed = {name: value for name, value in wanted.items() if annotations.get(name) != value}
    finalizers = metadata.get("finalizers") or []
    patch: JsonObject = {}
    if changed:
        patch["annotations"] = changed
    if labels.get(ROLE) != "true":
        patch["labels"] = {ROLE: "true"}
    if FINALIZER not in finalizers:
        patch["finalizers"] = [*finalizers, FINALIZER]
    return patch or None


def plan_condition(node: JsonObject) -> JsonObject | None:
    """Return the condition that says that the member has a vote, None if the Node has it."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    old = next((one for one in conditions if one["type"] == CONDITION), None)
    if old is not None and old["status"] == "True":
        return None
    now = format_time(clock.now())
    return {
        "type": CONDITION,
        "status": "True",
        "reason": "MemberNotLearner",
        "message": "Node is a voting member of the etcd cluster",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }


def plan_release(node: JsonObject, member_name: str) -> JsonObject | None:
    """Return the change of metadata of a Node whose member is gone: it may be deleted, or tells that it has no member."""
    metadata = node["metadata"]
    if metadata.get("deletionTimestamp"):
        finalizers = metadata.get("finalizers") or ()
        return {"finalizers": [one for one in finalizers if one != FINALIZER]}
    if not member_name:
        return None
    return {"annotations": {REMOVED: member_name, MEMBER: None, ADDRESS: None}, "labels": {ROLE: None}}

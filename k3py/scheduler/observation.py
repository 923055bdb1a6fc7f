"""Keeps the scheduler's cache and queue up to date from informers."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from k3py.api.resource import NODES, PODS
from k3py.scheduler.interface import ClusterEvent
from k3py.scheduler.node_info import PodInfo
from k3py.scheduler.watched import EVENTFUL, WATCHED

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from k3py.client.interface import InformerFactory
    from k3py.jsontypes import JsonObject
    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.interface import EventKind
    from k3py.scheduler.queue import SchedulingQueue


_AT_ONCE: Final = 200  # objects taken before the loop turns


class Observation:
    """Between `begin` and `end`, changes of the cluster go into a cache and a queue.

    Args:
        informers: shared ones.
        schedulers: spec.schedulerName of the pods that wait here.
    """

    def __init__(self, informers: InformerFactory, schedulers: AbstractSet[str]) -> None:
        self._schedulers = schedulers
        self._filling = False
        self._touched: set[tuple[str, str]] = (
            set()
        )  # (namespace, name) of what came while the cache is filled
        self._cache: SchedulerCache | None = None
        self._queue: SchedulingQueue | None = None
        self._pods, self._nodes = informers.informer(PODS), informers.informer(NODES)
        self._pods.add_handler(self._on_pod)
        self._nodes.add_handler(self._on_node)
        for name in EVENTFUL:
            informers.informer(WATCHED[name]).add_handler(partial(self._on_other, name))

    async def begin(self, cache: SchedulerCache, queue: SchedulingQueue) -> None:
        """Fill a new cache and queue with what is known, and follow changes from now on."""
        self._cache, self._queue = cache, queue
        self._touched.clear()
        self._filling = True
        for informer, take in ((self._nodes, self._on_node), (self._pods, self._on_pod)):
            for number, obj in enumerate(informer.lister.list()):
                if number % _AT_ONCE == _AT_ONCE - 1:
                    await asyncio.sleep(0)
                # What changed while others had a turn is taken already: an older state must not come after it.
                if _key_of(obj) not in self._touched:
                    take(None, obj)
        self._filling = False
        self._touched.clear()

    def end(self) -> None:
        """Stop following."""
        self._cache = self._queue = None

    def forget_assumed(self, info: PodInfo) -> None:
        """Take a pod that could not be bound from its node, if it is not there after all."""
        if self._cache is None or self._queue is None:
            return
        node_name = self._cache.node_of(info.uid)
        known = self._pods.lister.find(info.namespace, info.pod["metadata"]["name"])
        if not node_name or (known is not None and known["spec"].get("nodeName") == node_name):
            return
        self._cache.remove_pod(info.uid)
        self._queue.on_event(ClusterEvent(resource="pods", kind="delete", old=info.pod))

    def _on_pod(self, old: JsonObject | None, new: JsonObject | None) -> None:
        pod = new or old
        if self._cache is None or self._queue is None or pod is None:
            return
        if self._filling:
            self._touched.add(_key_of(pod))
        if old is not None and new is not None and old["metadata"]["uid"] != new["metadata"]["uid"]:
            self._on_pod(old, None)
            old = None
        if new is None or (new.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            self._on_end(self._cache, self._queue, pod)
        elif new["spec"].get("nodeName"):
            self._on_placed(self._cache, self._queue, old, new)
        else:
            self._on_waiting(self._cache, self._queue, old, new)

    def _on_end(self, cache: SchedulerCache, queue: SchedulingQueue, pod: JsonObject) -> None:
        uid = pod["metadata"]["uid"]
        queue.remove(uid)
        had_room = bool(cache.nominated_node(uid))
        if had_room:
            cache.nominate(PodInfo(pod), "")
        if cache.is_placed(uid) or had_room:
            cache.remove_pod(uid)
            queue.on_event(ClusterEvent(resource="pods", kind="delete", old=pod))

    def _on_placed(
        self, cache: SchedulerCache, queue: SchedulingQueue, old: JsonObject | None, new: JsonObject
    ) -> None:
        uid, node_name = new["metadata"]["uid"], new["spec"]["nodeName"]
        queue.remove(uid)
        if cache.nominated_node(uid):
            cache.nominate(PodInfo(new), "")
        was_placed = old is not None and bool(old["spec"].get("nodeName"))
        if was_placed and old is not None and cache.node_of(uid) == node_name and not _pod_matters(old, new):
            cache.refresh_pod(new)
            return
        cache.put_pod(PodInfo(new), node_name)
        kind: EventKind = "update" if was_placed else "add"
        queue.on_event(ClusterEvent(resource="pods", kind=kind, old=old if was_placed else None, new=new))

    def _on_waiting(
        self, cache: SchedulerCache, queue: SchedulingQueue, old: JsonObject | None, new: JsonObject
    ) -> None:
        uid = new["metadata"]["uid"]
        if new["spec"].get("schedulerName", "default-scheduler") not in self._schedulers:
            return
        if "deletionTimestamp" in new["metadata"]:
            queue.remove(uid)
            return
        nominated = _nominated(new)
        if nominated != ("" if old is None else _nominated(old)) or (old is None and nominated):
            cache.nominate(PodInfo(new), nominated)
        # Our own status patch must not wake the pod again.
        if not cache.is_placed(uid) and (
            old is None or _pod_matters(old, new) or _claims_of(old) != _claims_of(new)
        ):
            queue.add(PodInfo(new))

    def _on_node(self, old: JsonObject | None, new: JsonObject | None) -> None:
        node = new or old
        if self._cache is None or self._queue is None or node is None:
            return
        if self._filling:
            self._touched.add(_key_of(node))
        if new is None:
            if old is not None:
                self._cache.remove_node(old["metadata"]["name"])
                self._queue.on_event(ClusterEvent(resource="nodes", kind="delete", old=old))
            return
        if old is not None and _node_part(old) == _node_part(new):
            self._cache.refresh_node(new)  # a heartbeat
            return
        self._cache.put_node(new)
        kind: EventKind = "add" if old is None else "update"
        self._queue.on_event(ClusterEvent(resource="nodes", kind=kind, old=old, new=new))

    def _on_other(self, resource: str, old: JsonObject | None, new: JsonObject | None) -> None:
        if self._queue is not None:
            kind: EventKind = "add" if old is None else "delete" if new is None else "update"
            self._queue.on_event(ClusterEvent(resource=resource, kind=kind, old=old, new=new))


def _key_of(obj: JsonObject) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _nominated(pod: JsonObject) -> str:
    return str((pod.get("status") or {}).get("nominatedNodeName") or "")


def _claims_of(pod: JsonObject) -> object:
    return (pod.get("status") or {}).get("resourceClaimStatuses")


def _pod_matters(old: JsonObject, new: JsonObject) -> bool:
    """Say whether what decides about pods changed; what only tells of them does not count."""
    before, after = old["metadata"], new["metadata"]
    parts = ("labels", "deletionTimestamp")
    if any(before.get(one) != after.get(one) for one in parts) or old["spec"] != new["spec"]:
        return True
    return _amounts(old) != _amounts(new)


def _amounts(pod: JsonObject) -> list[tuple[object, object]]:
    """Return what the node has given the containers: a resize changes it after the spec."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return [(one.get("allocatedResources"), (one.get("resources") or {}).get("requests")) for one in statuses]


def _node_part(node: JsonObject) -> tuple[object, ...]:
    """Return what of a node can change a decision; its heartbeats cannot."""
    status = node.get("status") or {}
    return (
        node.get("spec"),
        node["metadata"].get("labels"),
        status.get("allocatable"),
        status.get("images"),
    )

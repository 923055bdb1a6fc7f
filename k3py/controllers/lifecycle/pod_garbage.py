"""Deletes pods whose node is gone, and unscheduled ones that are being deleted.

Source: kubernetes/pkg/controller/podgc/gc_controller.go v1.35 (orphan quarantine 40 s).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.object import key_of, split_key
from k3py.api.resource import NODES, PODS
from k3py.api.status import ApiError
from k3py.controllers.interface import Watch
from k3py.controllers.pod import is_ready
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"
QUARANTINE_S: Final = 40.0


class PodGarbageCollector:
    """See the module."""

    name = "pod-garbage-collector-controller"
    workers = 1

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        pods, nodes = context.informers.informer(PODS), context.informers.informer(NODES)
        self._pods, self._nodes = pods.lister, nodes.lister
        self._missing_since_s: dict[str, float] = {}
        self.watches = (Watch(pods, self._keys_of_pod), Watch(nodes, self._keys_of_node))

    def _keys_of_pod(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        if new is None:
            return ()
        node = (new.get("spec") or {}).get("nodeName", "")
        found = self._nodes.find("", node) if node else None
        leaving = "deletionTimestamp" in new["metadata"]
        suspicious = found is None if node else leaving
        return (key_of(new),) if suspicious or (leaving and _is_out_of_service(found)) else ()

    def _keys_of_node(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        if new is not None:
            self._missing_since_s.pop(new["metadata"]["name"], None)
            if not _is_out_of_service(new):
                return ()
        node = new or old
        if node is None:
            return ()
        name = node["metadata"]["name"]
        return [key_of(one) for one in self._pods.list() if (one.get("spec") or {}).get("nodeName") == name]

    async def reconcile(self, key: str) -> float | None:
        """Delete pod `key` if nobody else can."""
        namespace, name = split_key(key)
        pod = self._pods.find(namespace, name)
        if pod is None:
            return None
        node = (pod.get("spec") or {}).get("nodeName", "")
        if node:
            found = self._nodes.find("", node)
            if found is not None:
                if _is_out_of_service(found) and "deletionTimestamp" in pod["metadata"]:
                    await self._delete(pod)
                return None
            since_s = self._missing_since_s.setdefault(node, clock.monotonic_s())
            left_s = QUARANTINE_S - (clock.monotonic_s() - since_s)
            if left_s > 0:
                return left_s
        elif "deletionTimestamp" not in pod["metadata"]:
            return None
        await self._delete(pod)
        return None

    async def _delete(self, pod: JsonObject) -> None:
        metadata = pod["metadata"]
        try:
            await self._client.delete(
                PODS,
                metadata["name"],
                namespace=metadata["namespace"],
                grace_period_s=0,
                uid=metadata["uid"],
            )
        except ApiError as error:
            if error.code not in (404, 409):
                raise


def _is_out_of_service(node: JsonObject | None) -> bool:
    """Say whether an administrator declared a node that is not ready to be switched off."""
    if node is None:
        return False
    taints = (node.get("spec") or {}).get("taints") or ()
    return any(one["key"] == OUT_OF_SERVICE for one in taints) and not is_ready(node)


def build(context: ControllerContext) -> PodGarbageCollector:
    """Make the controller."""
    return PodGarbageCollector(context)

"""Deletes pods that do not, or no longer, tolerate a NoExecute taint of their node.

Source: kubernetes/pkg/controller/tainteviction v1.35. Upstream counts a toleration's seconds from the moment when its process saw the
taint; here they count from the taint's timeAdded or the pod's creation, whichever is later, so that a restart grants no second term.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from k3py.api.object import key_of, split_key
from k3py.api.resource import NODES, PODS
from k3py.api.status import ApiError
from k3py.api.taints import tolerates
from k3py.api.timestamps import format_time, parse_time
from k3py.controllers.interface import Watch
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

NODE_INDEX: Final = "node-name"
CONDITION: Final = "DisruptionTarget"


def index_by_node(pod: JsonObject) -> Sequence[str]:
    """Index function for NODE_INDEX."""
    name = (pod.get("spec") or {}).get("nodeName")
    return (name,) if name else ()


def taints_of(node: JsonObject | None) -> list[JsonObject]:
    """Return the NoExecute taints."""
    return [
        one for one in ((node or {}).get("spec") or {}).get("taints") or () if one["effect"] == "NoExecute"
    ]


def plan_eviction(pod: JsonObject, taints: Sequence[JsonObject], now: datetime) -> datetime | None:
    """Return when the pod is to be deleted, None when it may stay."""
    deadline: datetime | None = None
    created = parse_time(pod["metadata"]["creationTimestamp"])
    for taint in taints:
        tolerations = pod["spec"].get("tolerations") or ()
        used = next((one for one in tolerations if tolerates(one, taint)), None)
        if used is None:
            return now
        seconds = used.get("tolerationSeconds")
        if seconds is None:
            continue
        since = max(created, parse_time(taint["timeAdded"])) if taint.get("timeAdded") else created
        end = since + timedelta(seconds=max(0, seconds))
        deadline = end if deadline is None else min(deadline, end)
    return deadline


class TaintEvictionController:
    """See the module."""

    name = "taint-eviction-controller"
    workers = 8

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._recorder = context.recorder
        nodes = context.informers.informer(NODES)
        pods = context.informers.informer(PODS)
        pods.add_index(NODE_INDEX, index_by_node)
        self._nodes, self._pods = nodes.lister, pods.lister
        self._marked: set[str] = set()
        self.watches = (Watch(nodes, self._keys_of_node), Watch(pods, self._keys_of_pod))

    def _keys_of_node(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        if taints_of(old) == taints_of(new) and old is not None:
            return ()
        node = new or old
        if node is None or not (taints_of(node) or taints_of(old)):
            return ()
        return [key_of(pod) for pod in self._pods.by_index(NODE_INDEX, node["metadata"]["name"])]

    def _keys_of_pod(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        if new is None:
            if old is not None:
                self._marked.discard(key_of(old))
            return ()
        name = new["spec"].get("nodeName")
        return (key_of(new),) if name and taints_of(self._nodes.find("", name)) else ()

    async def reconcile(self, key: str) -> float | None:
        """Delete one pod when its time has come."""
        namespace, name = split_key(key)
        pod = self._pods.find(namespace, name)
        if pod is None or "deletionTimestamp" in pod["metadata"]:
            self._marked.discard(key)
            return None
        now = clock.now()
        taints = taints_of(self._nodes.find("", pod["spec"].get("nodeName", "")))
        at = plan_eviction(pod, taints, now)
        if at is None:
            if key in self._marked:
                self._marked.discard(key)
                message = f"Cancelling deletion of Pod {key}"
                self._recorder.event(pod, "Normal", "TaintManagerEviction", message)
            return None
        if at > now:
            self._marked.add(key)
            return (at - now).total_seconds()
        self._recorder.event(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {key}")
        await self._evict(pod, now)
        self._marked.discard(key)
        return None

    async def _evict(self, pod: JsonObject, now: datetime) -> None:
        metadata = pod["metadata"]
        condition = {
            "type": CONDITION,
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
            "lastTransitionTime": format_time(now),
        }
        if metadata.get("generation"):
            condition["observedGeneration"] = metadata["generation"]
        patch = {"metadata": {"uid": metadata["uid"]}, "status": {"conditions": [condition]}}
        try:
            await self._client.patch(
                PODS, metadata["name"], patch, namespace=metadata["namespace"], subresource="status"
            )
            await self._client.delete(
                PODS, metadata["name"], namespace=metadata["namespace"], uid=metadata["uid"]
            )
        except ApiError as error:
            if error.code != 404:
                raise


def build(context: ControllerContext) -> TaintEvictionController:
    """Make the controller."""
    return TaintEvictionController(context)

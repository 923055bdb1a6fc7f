"""The scheduler: gives pods without a node the best one.

One cycle at a time, as upstream; binding runs beside the next cycles. Source: kubernetes/pkg/scheduler v1.35.
"""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING

from k3py.api.resource import NODES, PODS
from k3py.api.status import ApiError
from k3py.api.timestamps import format_time
from k3py.scheduler.cache import SchedulerCache
from k3py.scheduler.framework import Framework
from k3py.scheduler.interface import ClusterEvent
from k3py.scheduler.queue import QueuedPod, SchedulingQueue
from k3py.scheduler.registry import default_profile
from k3py.util import clock
from k3py.util.supervise import Policy, TaskScope

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from k3py.client.interface import Client, InformerFactory
    from k3py.jsontypes import JsonObject
    from k3py.scheduler.interface import EventKind
    from k3py.scheduler.registry import Profile

    class Recorder(Protocol):
        """Writes Events; `k3py.client.events.EventRecorder`."""

        def event(
            self, obj: JsonObject, event_type: str, reason: str, message: str, *, action: str = ""
        ) -> None:
            """Record an event; never blocks."""


log = logging.getLogger(__name__)


class Scheduler:
    """A component; restarted, it builds cache and queue anew from its informers."""

    name = "kube-scheduler"
    policy = Policy.RESTART

    def __init__(
        self,
        client: Client,
        informers: InformerFactory,
        recorder: Recorder,
        *,
        profile: Profile | None = None,
    ) -> None:
        self._client = client
        self._recorder = recorder
        self._profile = profile or default_profile()
        self._pods, self._nodes = informers.informer(PODS), informers.informer(NODES)
        self._running = False
        self._cache = SchedulerCache()
        self._queue = self._new_queue()
        self._framework = Framework(self._profile, random.Random())  # noqa: S311 - ties are broken, nothing is hidden
        self._pods.add_handler(self._on_pod)
        self._nodes.add_handler(self._on_node)

    def _new_queue(self) -> SchedulingQueue:
        by_name = {plugin.NAME: plugin for plugin in self._profile.filter}

        def held_back(pod: JsonObject) -> bool:
            return any(plugin.pre_enqueue(pod) is not None for plugin in self._profile.pre_enqueue)

        def may_help(pod: JsonObject, plugin_name: str, event: ClusterEvent) -> bool:
            plugin = by_name.get(plugin_name)
            return plugin is None or plugin.may_help(pod, event)

        return SchedulingQueue(held_back, may_help)

    async def run(self, started: Callable[[], None]) -> None:
        """Schedule until cancelled."""
        await self._nodes.wait_synced()
        await self._pods.wait_synced()
        self._cache, self._queue, self._running = SchedulerCache(), self._new_queue(), True
        for node in self._nodes.lister.list():
            self._on_node(None, node)
        for pod in self._pods.lister.list():
            self._on_pod(None, pod)
        started()
        try:
            async with TaskScope() as scope:
                while True:
                    queued = await self._queue.pop()
                    await self._schedule_one(queued, scope)
        finally:
            self._running = False

    async def _schedule_one(self, queued: QueuedPod, scope: TaskScope) -> None:
        pod = queued.pod
        outcome = self._framework.schedule(pod, list(self._cache.nodes()))
        if not outcome.node_name:
            self._queue.put_back(queued, outcome.refused_by)
            _ = scope.spawn(self._tell_failure(pod, outcome.message), name="tell-unschedulable")
            return
        self._cache.put_pod(pod, outcome.node_name)
        _ = scope.spawn(self._bind(queued, outcome.node_name), name="bind")

    async def _bind(self, queued: QueuedPod, node_name: str) -> None:
        pod = queued.pod
        metadata = pod["metadata"]
        try:
            await self._profile.bind.bind(self._client, pod, node_name)
        except ApiError as error:
            if self._cache.is_placed(metadata["uid"]):
                self._cache.remove_pod(metadata["uid"])
            if error.code == 404:
                self._queue.finish(metadata["uid"])
                self._queue.remove(metadata["uid"])
                return
            log.warning(
                "binding failed, will try again",
                extra={"pod": f"{metadata['namespace']}/{metadata['name']}", "error": error.message},
            )
            self._queue.put_back(queued, frozenset())
            return
        self._queue.finish(metadata["uid"])
        self._queue.remove(metadata["uid"])
        self._recorder.event(
            pod,
            "Normal",
            "Scheduled",
            f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {node_name}",
            action="Binding",
        )

    async def _tell_failure(self, pod: JsonObject, message: str) -> None:
        """Write the condition PodScheduled=False when it says something new, and an event."""
        metadata = pod["metadata"]
        self._recorder.event(pod, "Warning", "FailedScheduling", message, action="Scheduling")
        known = next(
            (
                one
                for one in (pod.get("status") or {}).get("conditions") or ()
                if one["type"] == "PodScheduled"
            ),
            None,
        )
        if known is not None and (known["status"], known.get("message")) == ("False", message):
            return
        stamp = format_time(clock.now())
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastProbeTime": None,
            "lastTransitionTime": known["lastTransitionTime"]
            if known is not None and known["status"] == "False"
            else stamp,
        }
        if "generation" in metadata:
            condition["observedGeneration"] = metadata["generation"]
        try:
            await self._client.patch(
                PODS,
                metadata["name"],
                {"metadata": {"uid": metadata["uid"]}, "status": {"conditions": [condition]}},
                namespace=metadata["namespace"],
                subresource="status",
            )
        except ApiError as error:
            if error.code not in (404, 409):
                log.warning("cannot tell that a pod is unschedulable", extra={"error": error.message})

    def _on_pod(self, old: JsonObject | None, new: JsonObject | None) -> None:
        if not self._running:
            return
        pod = new or old
        if pod is None:
            return
        uid = pod["metadata"]["uid"]
        ended = new is None or (new.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        node_name = (pod["spec"]).get("nodeName", "")
        if ended or node_name:
            self._queue.remove(uid)
        if ended:
            was_placed = self._cache.is_placed(uid)
            self._cache.remove_pod(uid)
            if was_placed:
                self._queue.on_event(ClusterEvent(resource="pod", kind="delete", old=pod))
        elif node_name:
            self._cache.put_pod(pod, node_name)
            kind: EventKind = "add" if old is None else "update"
            self._queue.on_event(ClusterEvent(resource="pod", kind=kind, old=old, new=new))
        elif self._is_mine(pod) and not self._cache.is_placed(uid) and self._wants_a_try(old, pod):
            self._queue.add(pod)

    def _is_mine(self, pod: JsonObject) -> bool:
        wanted = pod["spec"].get("schedulerName", self._profile.name)
        return bool(wanted == self._profile.name) and "deletionTimestamp" not in pod["metadata"]

    @staticmethod
    def _wants_a_try(old: JsonObject | None, new: JsonObject) -> bool:
        """Our own status patch must not wake the pod again."""
        return (
            old is None
            or old["spec"] != new["spec"]
            or old["metadata"].get("labels") != new["metadata"].get("labels")
        )

    def _on_node(self, old: JsonObject | None, new: JsonObject | None) -> None:
        if not self._running:
            return
        if new is None:
            if old is not None:
                self._cache.remove_node(old["metadata"]["name"])
            return
        self._cache.put_node(new)
        kind: EventKind = "add" if old is None else "update"
        if old is None or _matters(old) != _matters(new):
            self._queue.on_event(ClusterEvent(resource="node", kind=kind, old=old, new=new))


def _matters(node: JsonObject) -> tuple[object, ...]:
    """Return what of a node can change a decision; its heartbeats cannot."""
    return (
        node.get("spec"),
        node["metadata"].get("labels"),
        (node.get("status") or {}).get("allocatable"),
    )

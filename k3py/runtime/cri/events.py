"""What happens to containers, as events: from CRI's own stream, or from containerd's where CRI has none (containerd 1.6).

containerd's events come before its CRI half has noticed: an exit is told on only once ContainerStatus shows it (asked again after a few
milliseconds, for two seconds at most), so that whoever looks after an event sees what it told of. Nothing is polled between events.

A subscription is known to stand when a marker that we publish ourselves comes back through it; only then is "unknown" (look at
everything) told, so that nothing falls between the look and the first event. CRI's stream has no such marker; runtimes keep events for
late followers there.
"""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Final, Literal

from k3py.runtime.errors import RuntimeFailure, RuntimeNotFound, RuntimeUnsupported
from k3py.runtime.interface import RuntimeEvent
from k3py.util.clock import monotonic_s
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from k3py.jsontypes import JsonObject
    from k3py.runtime.cri.channel import CriChannel
    from k3py.runtime.cri.owners import Owner, Owners

_log = logging.getLogger(__name__)

_CRI: Final = "/runtime.v1.RuntimeService/"
_EVENTS: Final = "/containerd.services.events.v1.Events/"
_CALL_S: Final = 30.0
_RECONNECT_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
_STABLE_S: Final = 10.0
_SETTLE_S: Final = (0.0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 0.64)
_MARKER: Final = "/k3py/subscribed"
_MARKER_AGAIN_S: Final = 0.1
_LOOK_AGAIN_S: Final = 2.0
_UID_LABEL: Final = "io.kubernetes.pod.uid"

_EventType = Literal["created", "started", "stopped", "deleted", "oom", "unknown"]
_TOPICS: Final[dict[str, tuple[_EventType, str]]] = {
    "/tasks/start": ("started", "containerd.events.TaskStart"),
    "/tasks/exit": ("stopped", "containerd.events.TaskExit"),
    "/tasks/oom": ("oom", "containerd.events.TaskOOM"),
    "/containers/delete": ("deleted", "containerd.events.ContainerDelete"),
}
_CRI_TYPES: Final[dict[str, _EventType]] = {
    "CONTAINER_CREATED_EVENT": "created",
    "CONTAINER_STARTED_EVENT": "started",
    "CONTAINER_STOPPED_EVENT": "stopped",
    "CONTAINER_DELETED_EVENT": "deleted",
}


@asynccontextmanager
async def follow_events(channel: CriChannel, owners: Owners) -> AsyncIterator[AsyncIterator[RuntimeEvent]]:
    """Follow events until left; losing the runtime reconnects, without end, and tells "unknown"."""
    follower = _Follower(channel, owners)
    async with TaskScope() as scope:
        _ = scope.spawn(follower.run(), name="runtime-events")
        try:
            yield follower.told()
        finally:
            scope.cancel()


class _Follower:
    def __init__(self, channel: CriChannel, owners: Owners) -> None:
        self._channel = channel
        self._owners = owners
        self._queue: asyncio.Queue[RuntimeEvent] = asyncio.Queue()
        self._has_cri_events: bool | None = None  # not known yet

    async def told(self) -> AsyncIterator[RuntimeEvent]:
        while True:
            yield await self._queue.get()

    async def run(self) -> None:
        attempt = 0
        told = ""
        while True:
            began_s = monotonic_s()
            try:
                if self._has_cri_events is None:
                    self._has_cri_events = await self._knows_cri_events()
                if self._has_cri_events:
                    await self._follow_cri()
                else:
                    await self._follow_containerd()
            except RuntimeUnsupported:
                if not self._has_cri_events:
                    raise
                self._has_cri_events = False
                continue
            except RuntimeFailure as error:
                if str(error) != told:  # a runtime that stays away is told of once
                    _log.warning("the runtime's events are lost, following them again: %s", error)
                told = str(error)
            if monotonic_s() - began_s > _STABLE_S:
                attempt = 0
                told = ""
            await asyncio.sleep(_RECONNECT_S[min(attempt, len(_RECONNECT_S) - 1)])
            attempt += 1

    async def _knows_cri_events(self) -> bool:
        """Containerd has CRI's events since 1.7; others are asked."""
        version = await self._channel.call(_CRI + "Version", {}, timeout_s=_CALL_S)
        if version["runtime_name"] != "containerd":
            return True
        numbers = re.match(r"v?(\d+)\.(\d+)", version["runtime_version"])
        return numbers is None or (int(numbers[1]), int(numbers[2])) >= (1, 7)

    async def _follow_cri(self) -> None:
        async with aclosing(self._channel.stream(_CRI + "GetContainerEvents", {})) as answers:
            self._queue.put_nowait(RuntimeEvent("unknown"))
            async for answer in answers:
                self._tell_cri(answer)

    def _tell_cri(self, answer: JsonObject) -> None:
        sandbox = answer.get("pod_sandbox_status", {})
        container_id = answer["container_id"]
        known = self._owners.find(container_id)
        self._queue.put_nowait(
            RuntimeEvent(
                _CRI_TYPES.get(answer["container_event_type"], "unknown"),
                container_id,
                sandbox.get("id") or (known.sandbox_id if known else ""),
                sandbox.get("metadata", {}).get("uid") or (known.pod_uid if known else ""),
            )
        )

    async def _follow_containerd(self) -> None:
        filters = [f'namespace==k8s.io,topic=="{topic}"' for topic in (*_TOPICS, _MARKER)]
        standing = asyncio.Event()
        async with TaskScope() as scope:
            marker = scope.spawn(self._publish_marker(standing), name="runtime-events-marker")
            try:
                stream = self._channel.stream(_EVENTS + "Subscribe", {"filters": filters})
                async with aclosing(stream) as envelopes:
                    async for envelope in envelopes:
                        if envelope["topic"] == _MARKER:
                            if not standing.is_set():
                                standing.set()
                                self._queue.put_nowait(RuntimeEvent("unknown"))
                                _ = scope.spawn(self._look_again(), name="runtime-events-again")
                        elif (event := self._read(envelope)) is not None:
                            _ = scope.spawn(self._tell_settled(*event), name="runtime-event")
            finally:
                marker.cancel()

    async def _look_again(self) -> None:
        """What ended just before the subscription may reach CRI's own view after the first look: have it looked at once more."""
        await asyncio.sleep(_LOOK_AGAIN_S)
        self._queue.put_nowait(RuntimeEvent("unknown"))

    async def _publish_marker(self, standing: asyncio.Event) -> None:
        """Publish until it comes back (the first may be earlier than the subscription)."""
        event = {"type_url": "k3py.io/subscribed", "value": b""}
        while not standing.is_set():
            await self._channel.call(
                _EVENTS + "Publish", {"topic": _MARKER, "event": event}, timeout_s=_CALL_S
            )
            try:
                async with asyncio.timeout(_MARKER_AGAIN_S):
                    await standing.wait()
            except TimeoutError:
                continue

    def _read(self, envelope: JsonObject) -> tuple[_EventType, str] | None:
        """Return what an envelope says and of which container; None for the processes of an exec."""
        kind, message = _TOPICS[envelope["topic"]]
        event = self._channel.decode(message, envelope["event"]["value"])
        container_id = event.get("container_id") or event["id"]
        if kind == "stopped" and event["id"] != container_id:
            return None
        return kind, container_id

    async def _tell_settled(self, kind: _EventType, container_id: str) -> None:
        try:
            owner = self._owners.find(container_id)
            if owner is None and kind != "deleted":
                owner = await self._look_up(container_id)
            if owner is None:
                return  # a sandbox being made, or one that nobody of us knew: nobody waits for it
            if kind == "stopped":
                await self._settle(container_id, is_sandbox=owner.sandbox_id == container_id)
        except RuntimeFailure as error:
            _log.warning("event %s of container %s: %s", kind, container_id, error)
            self._queue.put_nowait(RuntimeEvent("unknown"))
            return
        self._queue.put_nowait(RuntimeEvent(kind, container_id, owner.sandbox_id, owner.pod_uid))

    async def _look_up(self, container_id: str) -> Owner | None:
        answer = await self._channel.call(
            _CRI + "ListContainers", {"filter": {"id": container_id}}, timeout_s=_CALL_S
        )
        for item in answer["containers"]:
            sandbox = self._owners.find(item["pod_sandbox_id"])
            uid = item["labels"].get(_UID_LABEL) or (sandbox.pod_uid if sandbox else "")
            self._owners.note(container_id, item["pod_sandbox_id"], uid)
        answer = await self._channel.call(
            _CRI + "ListPodSandbox", {"filter": {"id": container_id}}, timeout_s=_CALL_S
        )
        for item in answer["items"]:
            self._owners.note(container_id, container_id, item["metadata"]["uid"])
        return self._owners.find(container_id)

    async def _settle(self, container_id: str, *, is_sandbox: bool) -> None:
        """Wait until CRI shows the end, for a bounded time."""
        method, key, ended = (
            ("PodSandboxStatus", "pod_sandbox_id", "SANDBOX_NOTREADY")
            if is_sandbox
            else ("ContainerStatus", "container_id", "CONTAINER_EXITED")
        )
        for pause_s in _SETTLE_S:
            await asyncio.sleep(pause_s)
            try:
                answer = await self._channel.call(_CRI + method, {key: container_id}, timeout_s=_CALL_S)
            except RuntimeNotFound:
                return
            if answer["status"]["state"] == ended:
                return

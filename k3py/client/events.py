"""Records what happened to objects as core/v1 Events, without ever making its caller wait.

Controllers, scheduler and kubelet call `EventRecorder.event`; a background task sends. Too many events are dropped (and counted),
never queued without bound. Model: client-go tools/record v0.35.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from k3py.api.resource import EVENTS
from k3py.api.status import ApiError
from k3py.client.event_correlation import EventCorrelator
from k3py.client.interface import PatchType
from k3py.util import clock
from k3py.util.supervise import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

QUEUE_SIZE: Final = 1000
TRIES: Final = 12
RETRY_S: Final = 10.0
NORMAL: Final = "Normal"
WARNING: Final = "Warning"


class EventRecorder:
    """Makes and sends Events; a Component (run it once, share it, `named` gives each user its own source).

    Args:
        client: sends the Events.
        component: source.component and reportingComponent, e.g. "kubelet".
        host: source.host and reportingInstance, the node's name where there is one.
    """

    def __init__(self, client: Client, *, component: str, host: str = "") -> None:
        self._sender = _Sender(client)
        self._component = component
        self._host = host

    @property
    def name(self) -> str:
        """Component's name."""
        return f"events-of-{self._component}"

    @property
    def policy(self) -> Policy:
        """Events are best effort: start over."""
        return Policy.RESTART

    @property
    def dropped(self) -> int:
        """Return how many events were lost because the queue was full or the API server refused them."""
        return self._sender.dropped

    def named(self, component: str, *, host: str = "") -> EventRecorder:
        """Return a recorder with another source that shares this one's queue and sender."""
        other = EventRecorder.__new__(EventRecorder)
        other._sender = self._sender  # noqa: SLF001 - the same class
        other._component = component  # noqa: SLF001 - the same class
        other._host = host or self._host  # noqa: SLF001 - the same class
        return other

    def event(
        self,
        obj: JsonObject,
        event_type: str,
        reason: str,
        message: str,
        *,
        field_path: str = "",
        action: str = "",
        annotations: dict[str, str] | None = None,
    ) -> None:
        """Record that something happened to `obj`; returns at once.

        Args:
            obj: the object concerned (read-only), or an ObjectReference with kind, name, namespace, uid, apiVersion.
            event_type: "Normal" or "Warning".
            reason: CamelCase, machine readable.
            message: human readable, cut to 1024 characters.
            field_path: part of the object, e.g. "spec.containers{web}".
            action: what was done, for newer readers ("Binding").
            annotations: metadata.annotations of the Event.
        """
        reference = make_reference(obj, field_path)
        wall_s = clock.wall_s()
        namespace = reference.get("namespace") or "default"
        stamp = clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata: JsonObject = {
            "name": f"{reference['name']}.{int(wall_s * 1e9):x}",
            "namespace": namespace,
        }
        if annotations:
            metadata["annotations"] = annotations
        event: JsonObject = {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": metadata,
            "involvedObject": reference,
            "reason": reason,
            "message": message[:1024],
            "source": {"component": self._component} | ({"host": self._host} if self._host else {}),
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
            "type": event_type,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
        }
        if action:
            event["action"] = action
        self._sender.enqueue(event)

    async def run(self, started: Callable[[], None]) -> None:
        """Send what is recorded until cancelled."""
        started()
        await self._sender.send_forever()

    async def flush(self) -> None:
        """Send what is queued now and return; for tests and orderly shutdown (not while `run` runs)."""
        await self._sender.send_queued()


def make_reference(obj: JsonObject, field_path: str = "") -> JsonObject:
    """Return the ObjectReference of an object; something without metadata is taken for a reference already."""
    metadata = obj.get("metadata")
    if metadata is None:
        reference = dict(obj)
    else:
        reference = {"kind": obj["kind"]}
        if namespace := metadata.get("namespace"):
            reference["namespace"] = namespace
        reference["name"] = metadata["name"]
        if uid := metadata.get("uid"):
            reference["uid"] = uid
        reference["apiVersion"] = obj["apiVersion"]
        if version := metadata.get("resourceVersion"):
            reference["resourceVersion"] = version
    if field_path:
        reference["fieldPath"] = field_path
    return reference


class _Sender:
    """The queue of a family of recorders and its sending."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._queue: deque[JsonObject] = deque()
        self._correlator = EventCorrelator()
        self._wake = asyncio.Event()
        self.dropped = 0

    def enqueue(self, event: JsonObject) -> None:
        if len(self._queue) >= QUEUE_SIZE:
            self.dropped += 1
            return
        self._queue.append(event)
        self._wake.set()

    async def send_forever(self) -> None:
        while True:
            await self._wake.wait()
            await self.send_queued()

    async def send_queued(self) -> None:
        self._wake.clear()
        while self._queue:
            await self._send(self._queue.popleft())

    async def _send(self, event: JsonObject) -> None:
        correlated = self._correlator.correlate(event, clock.monotonic_s())
        if correlated is None:
            return
        for attempt in range(TRIES):
            try:
                await self._write(correlated.event, correlated.patch)
            except ApiError as error:
                if error.code == 409 and error.reason == "AlreadyExists":
                    break
                if error.code < 500 and error.code != 429:
                    self.dropped += 1
                    level = logging.DEBUG if error.has_cause("NamespaceTerminating") else logging.WARNING
                    log.log(level, "event refused", extra={"reason": event["reason"], "error": error.message})
                    return
                if attempt == TRIES - 1:
                    self.dropped += 1
                    log.warning("event lost", extra={"reason": event["reason"], "error": error.message})
                    return
                await asyncio.sleep(RETRY_S)
            else:
                break
        self._correlator.remember(correlated.key, correlated.event)

    async def _write(self, event: JsonObject, patch: JsonObject | None) -> None:
        namespace = event["metadata"]["namespace"]
        if patch is not None:
            try:
                await self._client.patch(
                    EVENTS,
                    event["metadata"]["name"],
                    patch,
                    namespace=namespace,
                    patch_type=PatchType.STRATEGIC,
                )
            except ApiError as error:
                if error.code != 404:
                    raise
                # The Event's hour is over: it starts a new life with the count that it has.
                event["metadata"]["name"] = f"{event['involvedObject']['name']}.{int(clock.wall_s() * 1e9):x}"
            else:
                return
        await self._client.create(EVENTS, event, namespace=namespace)

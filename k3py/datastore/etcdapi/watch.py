"""The Watch service: many watches over one stream. Source: etcd server/etcdserver/api/v3rpc/watch.go, v3.6 (datastore.md §1.6).

One reader takes the client's requests, one task a watch passes on its batches; all send under one lock, so `Created` answers keep the
order of the requests, and a progress answer never overtakes an event.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from k3py.datastore.errors import Compacted, DatastoreError
from k3py.datastore.etcdapi.conditions import condition
from k3py.datastore.interface import EventType, Revision
from k3py.datastore.mvcc.keyrange import UNBOUNDED
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from k3py.datastore.etcdapi.server import DocumentStream
    from k3py.datastore.etcdapi.store import Store
    from k3py.datastore.interface import Event, Watch, WatchBatch
    from k3py.jsontypes import JsonObject

INVALID_ID: Final = -1
RESPONSE_BYTES: Final = 1 << 20
"""Several revisions are put into one response up to this size."""

FRAGMENT_BYTES: Final = 1 << 20
"""A client that takes fragments gets one revision in pieces of this size."""

_FILTERED: Final = {"NOPUT": EventType.PUT, "NODELETE": EventType.DELETE}


@dataclass(slots=True, eq=False)
class _Watch:
    id: int
    start: bytes
    end: bytes | None
    delivered: Revision
    """All events up to here were sent."""
    previous: bool
    progress_notify: bool
    fragment: bool
    filtered: frozenset[EventType]
    source: Watch | None = None
    task: asyncio.Task[None] | None = None
    sent_lately: bool = False
    notify: bool = False
    waiting: bool = field(default=False)


class WatchStream:
    """One client stream of the Watch service."""

    def __init__(self, store: Store, stream: DocumentStream, *, progress_interval_s: float) -> None:
        self._store = store
        self._stream = stream
        self._progress_interval_s = progress_interval_s
        self._sending = asyncio.Lock()
        self._watches: dict[int, _Watch] = {}
        self._next_id = 0
        self._asked: deque[Revision] = deque()
        self._ticking = False

    def __len__(self) -> int:
        """Return how many watches are open."""
        return len(self._watches)

    async def serve(self) -> None:
        """Serve until the client ends the stream.

        Raises:
            GRPCError: UNAVAILABLE when the store cannot go on; clients then resume elsewhere or later.
        """
        try:
            async with TaskScope() as scope:
                async for request in self._stream:
                    if (creation := request.get("create_request")) is not None:
                        await self._create(creation, scope)
                    elif (cancellation := request.get("cancel_request")) is not None:
                        await self._cancel(cancellation["watch_id"])
                    elif "progress_request" in request:
                        await self._ask_progress()
                scope.cancel()
        except DatastoreError as error:
            raise condition(error) from None

    async def _create(self, request: JsonObject, scope: TaskScope) -> None:
        current = await self._store.backend.latest_revision()
        if (reason := self._refusal(request)) is not None:
            await self._send(
                {
                    "header": self._store.header(current),
                    "watch_id": INVALID_ID,
                    "created": True,
                    "canceled": True,
                    "cancel_reason": reason,
                }
            )
            return
        watch = _Watch(
            request["watch_id"] or self._free_id(),
            request["key"] or b"\0",
            request["range_end"] or None,
            Revision((request["start_revision"] or current + 1) - 1),
            previous=request["prev_kv"],
            progress_notify=request["progress_notify"],
            fragment=request["fragment"],
            filtered=frozenset(_FILTERED[name] for name in request["filters"] if name in _FILTERED),
        )
        self._watches[watch.id] = watch
        await self._send({"header": self._store.header(current), "watch_id": watch.id, "created": True})
        watch.task = scope.spawn(self._follow(watch), name=f"etcd-watch-{watch.id}")
        if watch.progress_notify and not self._ticking:
            self._ticking = True
            _ = scope.spawn(self._tick(), name="etcd-watch-progress")

    def _refusal(self, request: JsonObject) -> str | None:
        key, end = request["key"] or b"\0", request["range_end"]
        if request["start_revision"] < 0:
            return "mvcc: required revision has been compacted"
        if end and end != UNBOUNDED and end <= key:
            return "mvcc: watcher range is empty"
        if request["watch_id"] in self._watches and request["watch_id"]:
            return "mvcc: duplicate watch ID provided on the WatchStream"
        return None

    def _free_id(self) -> int:
        while self._next_id in self._watches:
            self._next_id += 1
        self._next_id += 1
        return self._next_id - 1

    async def _cancel(self, watch_id: int) -> None:
        watch = self._watches.pop(watch_id, None)
        if watch is None:
            return
        if watch.task is not None:
            # Not while it sends: half a message would end the whole stream.
            async with self._sending:
                watch.task.cancel()
        await self._send({"header": self._store.header(), "watch_id": watch_id, "canceled": True})
        await self._answer_progress()

    async def _follow(self, watch: _Watch) -> None:
        try:
            async with self._store.backend.watch(watch.start, watch.end, after=watch.delivered) as source:
                watch.source = source
                if watch.notify:
                    source.request_progress()
                if self._asked:
                    source.request_progress(self._asked[0])
                async for batch in source:
                    await self._deliver(watch, batch)
        except Compacted as error:
            if self._watches.pop(watch.id, None) is not None:
                await self._send(
                    {
                        "header": self._store.header(),
                        "watch_id": watch.id,
                        "canceled": True,
                        "compact_revision": error.compact_revision,
                    }
                )
                await self._answer_progress()

    async def _deliver(self, watch: _Watch, batch: WatchBatch) -> None:
        events = batch.events
        if watch.filtered:
            events = tuple([event for event in events if event.type not in watch.filtered])
        for response in self._responses(watch, events, batch.revision):
            await self._send(response)
            watch.sent_lately, watch.notify = True, False
        if watch.notify:
            watch.notify = False
            await self._send({"header": self._store.header(batch.revision), "watch_id": watch.id})
        watch.delivered = max(watch.delivered, batch.revision)
        if self._asked:
            await self._answer_progress()

    def _responses(self, watch: _Watch, events: Sequence[Event], revision: Revision) -> Iterator[JsonObject]:
        """Cut a batch into responses, between revisions, or also inside one for who takes fragments."""
        chunk: list[bytes] = []
        size, last = 0, 0
        for event in events:
            encoded = self._store.event(event, previous=watch.previous)
            if chunk and size + len(encoded) > (
                RESPONSE_BYTES if event.kv.mod_revision != last else FRAGMENT_BYTES
            ):
                if event.kv.mod_revision != last:
                    yield self._response(watch, chunk, last)
                    chunk, size = [], 0
                elif watch.fragment:
                    yield {**self._response(watch, chunk, last), "fragment": True}
                    chunk, size = [], 0
            chunk.append(encoded)
            size += len(encoded)
            last = event.kv.mod_revision
        if chunk:
            yield self._response(watch, chunk, revision)

    def _response(self, watch: _Watch, events: list[bytes], revision: int) -> JsonObject:
        return {"header": self._store.header(revision), "watch_id": watch.id, "events": events}

    async def _send(self, response: JsonObject) -> None:
        async with self._sending:
            await self._stream.send_message(response)

    # Progress

    async def _ask_progress(self) -> None:
        """Note a request: answered once, for all watches, when each has delivered what the store has now.

        As with etcd there is no answer while a watch waits for a revision that is still to come: a header below the revision that it was
        asked to start from would have a client resume too early.
        """
        current = await self._store.backend.latest_revision()
        if any(watch.delivered > current for watch in self._watches.values()):
            return
        if not self._asked or self._asked[-1] < current:
            self._asked.append(current)
        for watch in self._watches.values():
            if watch.delivered < current and watch.source is not None:
                watch.source.request_progress(current)
        await self._answer_progress()

    async def _answer_progress(self) -> None:
        if not self._asked:
            return
        async with self._sending:
            reached = min(
                (watch.delivered for watch in self._watches.values()),
                default=self._asked[-1],
            )
            answered = False
            while self._asked and self._asked[0] <= reached:
                self._asked.popleft()
                answered = True
            if answered:
                await self._stream.send_message(
                    {"header": self._store.header(reached), "watch_id": INVALID_ID}
                )
        if self._asked:
            for watch in self._watches.values():
                if watch.delivered < self._asked[0] and watch.source is not None:
                    watch.source.request_progress(self._asked[0])

    async def _tick(self) -> None:
        """Tell watches that want it from time to time how far they are, unless events do."""
        while True:
            await asyncio.sleep(self._progress_interval_s)
            for watch in self._watches.values():
                if watch.progress_notify and not watch.sent_lately and watch.source is not None:
                    watch.notify = True
                    watch.source.request_progress()
                watch.sent_lately = False

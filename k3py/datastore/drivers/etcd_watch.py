"""A watch on an etcd cluster that outlives connections: it goes on where it was, at the next endpoint if need be.

Each watch has a stream of its own, so that a progress answer is about this watch alone::

    connect ─► create at position ─► events, progress ─► (stream lost) ─► back-off ─► connect
                                    └─► compacted: the iteration ends
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from typing import TYPE_CHECKING, Final, Self

from k3py.datastore.drivers.etcd_messages import bounds_document, event
from k3py.datastore.errors import Compacted, DatastoreError, Unavailable
from k3py.datastore.interface import NO_REVISION, Event, EventType, Revision, WatchBatch
from k3py.datastore.mvcc.keyrange import UNBOUNDED
from k3py.util.backoff import Backoff
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.datastore.etcdapi.client import EtcdClient, EtcdStream
    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

BUFFER_EVENTS: Final = 2_000
"""Behind so many events that nobody took, no more are read: the server holds them."""

ASK_AGAIN_S: Final = 0.1
"""etcd does not answer a progress request while the watch is behind."""

CLAIMS: Final = 3
"""So many further answers of an etcd that answers early until one is believed: between two of them it delivers what is on the way."""

SETTLE_S: Final = 0.5
"""Such an etcd is asked only so long after a watch has begun, or was seen to be behind: it catches up each 0.1 s."""

RECONNECT_FIRST_S: Final = 0.05
RECONNECT_CAP_S: Final = 5.0


class EtcdWatch:
    """See `interface.Watch`; `run` must run beside the iteration.

    Args:
        client: connections.
        saw: told every revision that the server tells.
        current: the newest revision that is known.
        bounds: the range.
        after: events behind this revision.
        name: for task names and logs.
        answers_early: the etcd may tell of progress before it delivers the events.
    """

    def __init__(
        self,
        client: EtcdClient,
        saw: Callable[[int], None],
        current: Callable[[], Revision],
        bounds: tuple[bytes, bytes | None],
        after: Revision,
        name: str,
        *,
        answers_early: bool = False,
    ) -> None:
        self.position = after
        self.name = name
        self._client = client
        self._saw = saw
        self._current = current
        self._bounds = bounds
        self._batches: deque[WatchBatch] = deque()
        self._buffered = 0
        self._waiter: asyncio.Future[None] | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._asked = asyncio.Event()
        self._wanted: Revision | None = None
        self._error: Exception | None = None
        self._moved = asyncio.Event()
        self._fragments: list[Event] = []
        self._overlap = True
        self._resumed_at = after
        self._answers_early = answers_early
        self._claims: deque[Revision] = deque()
        self._settled_s = 0.0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchBatch:
        while True:
            if self._batches:
                batch = self._batches.popleft()
                self._buffered -= len(batch.events)
                if self._buffered < BUFFER_EVENTS:
                    self._room.set()
                return batch
            if self._error is not None:
                raise self._error
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def request_progress(self, at_least: Revision = NO_REVISION) -> None:
        """See `interface.Watch`."""
        wanted = max(self._current(), at_least)
        self._wanted = wanted if self._wanted is None else min(self._wanted, wanted)
        self._asked.set()

    def fail(self, error: Exception) -> None:
        """End the iteration by `error`, after what is buffered."""
        if self._error is None:
            self._error = error
        self._wake()

    async def reached(self, revision: Revision, timeout_s: float) -> None:
        """Wait until everything up to `revision` is here, or `timeout_s` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.position < revision and self._error is None:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            return

    async def run(self) -> None:
        """Keep a stream open until the iteration has failed or this is cancelled."""
        backoff = Backoff(first_s=RECONNECT_FIRST_S, cap_s=RECONNECT_CAP_S)
        while self._error is None:
            before = self._resumed_at = self.position
            try:
                async with (
                    self._client.stream("Watch/Watch") as stream,
                    TaskScope() as scope,
                ):
                    await stream.send({"create_request": self._creation()})
                    asking = scope.spawn(self._ask(stream), name=f"{self.name}-progress")
                    try:
                        await self._receive(stream)
                    finally:
                        asking.cancel()
            except Compacted as error:
                if self._overlap and error.compact_revision == self.position + 1:
                    self._overlap = False
                    continue
                self.fail(error)
            except Unavailable as error:
                log.info("watch interrupted", extra={"watch": self.name, "error": str(error)})
            except (DatastoreError, ValueError) as error:
                self.fail(Unavailable(f"etcd refuses the watch: {error}"))
            if self._error is None:
                self._fragments.clear()
                if self.position > before:
                    backoff.reset()
                await asyncio.sleep(backoff.next_s())

    def _creation(self) -> JsonObject:
        start, end = self._bounds
        if end is not None and end != UNBOUNDED and end <= (start or b"\0"):
            # etcd refuses an empty range, here it is a watch without events: on a key that nobody can know.
            start, end = b"\0" + secrets.token_bytes(32), None
        # From the last delivered revision on, though its events are dropped: etcd answers no progress request of a watch that starts
        # behind the current revision, until something is written.
        first = self.position if self._overlap and self.position > 0 else self.position + 1
        return {
            **bounds_document(start, end),
            "start_revision": first,
            "prev_kv": True,
            "fragment": True,
        }

    async def _receive(self, stream: EtcdStream) -> None:
        while True:
            await self._room.wait()
            response = await stream.receive()
            if response["compact_revision"]:
                raise Compacted(response["compact_revision"])
            if response["canceled"]:
                raise Unavailable(response["cancel_reason"] or "etcd cancelled the watch")
            if response["created"]:
                self._settle()
                continue
            revision = response["header"]["revision"]
            if response["events"]:
                events = [event(message) for message in response["events"]]
                if events[-1].kv.mod_revision < revision:
                    self._settle()
                self._take(events, whole=not response["fragment"])
            elif revision >= self.position:
                self._hear(Revision(revision))
            self._saw(revision)

    def _settle(self) -> None:
        """Believe no progress for a while: the watch may be behind."""
        if self._answers_early:
            self._claims.clear()
            self._settled_s = asyncio.get_running_loop().time() + SETTLE_S

    def _hear(self, revision: Revision) -> None:
        """Take an answer to a progress request."""
        if not self._answers_early:
            self._progress(revision)
            return
        if asyncio.get_running_loop().time() < self._settled_s:
            return
        self._claims.append(revision)
        if len(self._claims) > CLAIMS:
            self._progress(max(self.position, self._claims.popleft()))
        else:
            self._moved.set()  # ask again

    def _take(self, events: list[Event], *, whole: bool) -> None:
        fresh = [one for one in events if one.kv.mod_revision > self._resumed_at]
        for one in fresh:
            kv = one.kv
            created = one.type is EventType.PUT and kv.create_revision == kv.mod_revision
            if one.previous is None and not created:
                # The row before is compacted: the first revision that can be followed is a later one.
                raise Compacted(kv.mod_revision + 1)
        self._fragments += fresh
        if not whole or not self._fragments:
            return
        complete, self._fragments = tuple(self._fragments), []
        # Not the header's revision: with a part of what there is to catch up on it tells of events that are still to come.
        self._give(WatchBatch(complete, max(self.position, complete[-1].kv.mod_revision)))

    def _progress(self, revision: Revision) -> None:
        if self._wanted is not None and revision >= self._wanted:
            self._give(WatchBatch((), revision))
        else:
            self.position = revision
            self._moved.set()

    def _give(self, batch: WatchBatch) -> None:
        self.position = batch.revision
        if self._wanted is not None and batch.revision >= self._wanted:
            self._wanted = None
        self._batches.append(batch)
        self._buffered += len(batch.events)
        if self._buffered >= BUFFER_EVENTS:
            self._room.clear()
        self._moved.set()
        self._wake()

    async def _ask(self, stream: EtcdStream) -> None:
        """Send a progress request whenever one is wanted, again until it is answered."""
        while True:
            if self._wanted is None:
                self._asked.clear()
                await self._asked.wait()
                continue
            try:
                await stream.send({"progress_request": {}})
            except Unavailable:
                return  # the receiver learns of it too
            self._moved.clear()
            try:
                # Nothing can be answered while the watch waits for a revision that is still to come.
                async with asyncio.timeout(ASK_AGAIN_S if self.position <= self._current() else None):
                    await self._moved.wait()
            except TimeoutError:
                continue

    def _wake(self) -> None:
        self._moved.set()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

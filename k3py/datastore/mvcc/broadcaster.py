"""Hands committed events to watchers: one event object for all, cost in proportion to the watchers that want it.

A watcher is either *synced* (events are put into its buffer as they are committed) or *behind* (it reads the log by itself, and keeps
what is committed meanwhile). A watcher that does not empty its buffer falls behind; nobody waits for it::

    behind ──log read up to where the reading began──► synced
       ▲                                                 │
       └───────────────── buffer full ───────────────────┘
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, Self

from k3py.datastore.errors import Closed, Compacted
from k3py.datastore.interface import NO_REVISION, Event, Revision, WatchBatch
from k3py.datastore.mvcc.keyrange import contains, prefix_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.datastore.mvcc.log import LogPage

BUFFER_EVENTS = 2_000
BUFFER_BYTES = 8 << 20
PAGE_EVENTS = 500


class History(Protocol):
    """What a watcher that is behind reads."""

    @property
    def compact_revision(self) -> Revision:
        """The first readable revision."""

    async def events(self, start: bytes, end: bytes | None, *, after: Revision, limit: int) -> LogPage:
        """Read events of a range behind a revision."""


class Watcher:
    """One watch: an iterator of batches; see `Backend.watch`."""

    __slots__ = (
        "_asked",
        "_broadcaster",
        "_buffer",
        "_buffer_bytes",
        "_collecting",
        "_end",
        "_error",
        "_position",
        "_start",
        "_synced",
        "_waiter",
    )

    def __init__(self, broadcaster: Broadcaster, start: bytes, end: bytes | None, after: Revision) -> None:
        self._broadcaster = broadcaster
        self._start = start
        self._end = end
        self._position = after
        self._synced = after >= broadcaster.position
        self._buffer: list[Event] = []
        self._buffer_bytes = 0
        self._collecting = False  # events are kept while the log is read: they continue the page
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._asked: Revision | None = None

    def request_progress(self, at_least: Revision = NO_REVISION) -> None:
        """Have the iterator give a batch soon, an empty one if there is nothing new (see `interface.Watch`)."""
        self._asked = at_least if self._asked is None else min(self._asked, at_least)
        if self._asked > self._broadcaster.position:
            self._broadcaster.expect(self)
        self.notice_position()

    def notice_position(self) -> bool:
        """Wake the iterator if the broadcaster is where progress was asked about; say whether that is so."""
        if self._asked is not None and self._asked > self._broadcaster.position:
            return False
        self._wake()
        return True

    def push(self, event: Event) -> None:
        """Take an event of the range, in order; called by the broadcaster."""
        if not (self._synced or self._collecting) or event.kv.mod_revision <= self._position:
            return
        self._buffer.append(event)
        self._buffer_bytes += len(event.kv.value)
        if len(self._buffer) > BUFFER_EVENTS or self._buffer_bytes > BUFFER_BYTES:
            self.fall_behind()
        self._wake()

    def fall_behind(self) -> None:
        """Read the log from behind what was delivered, instead of waiting for events."""
        self._synced = self._collecting = False
        self._buffer = []
        self._buffer_bytes = 0
        self._wake()

    def fail(self, error: Exception) -> None:
        """End the iteration by `error`, after what is buffered."""
        self._error = error
        self._wake()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchBatch:
        while True:
            if self._buffer:
                return self._take_buffer()
            if self._error is not None:
                raise self._error
            if not self._synced:
                batch = await self._catch_up()
                if batch is not None:
                    return batch
                continue
            if self._asked is not None and max(self._position, self._asked) <= self._broadcaster.position:
                return self._take_buffer()
            await self._wait()

    def _take_buffer(self) -> WatchBatch:
        events = tuple(self._buffer)
        self._buffer = []
        self._buffer_bytes = 0
        self._position = max(self._position, self._broadcaster.position)
        if self._asked is not None and self._asked <= self._position:
            self._asked = None
        return WatchBatch(events, self._position)

    async def _catch_up(self) -> WatchBatch | None:
        history = self._broadcaster.history
        if self._position < history.compact_revision - 1:
            raise Compacted(history.compact_revision)
        # What is committed while the page is read is collected, so that a watcher is synced after the last page however busy the store is.
        since, self._collecting = self._broadcaster.position, True
        try:
            page = await history.events(self._start, self._end, after=self._position, limit=PAGE_EVENTS)
        except BaseException:
            self.fall_behind()
            raise
        if self._position < history.compact_revision - 1:
            self.fall_behind()
            raise Compacted(history.compact_revision)
        # The log may be a commit ahead of the broadcaster; its events must then not be taken a second time.
        self._position = max(self._position, page.revision)
        if self._collecting and self._position >= since:
            self._synced, self._collecting = True, False
            self._buffer = [event for event in self._buffer if event.kv.mod_revision > self._position]
        else:
            self.fall_behind()
            self._synced = self._position >= self._broadcaster.position
        return WatchBatch(page.events, self._position) if page.events else None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    @property
    def bounds(self) -> tuple[bytes, bytes | None]:
        """The watched range."""
        return self._start, self._end


class Broadcaster:
    """The one place where committed events become visible, in revision order."""

    def __init__(self, history: History, position: Revision) -> None:
        self.history = history
        self.position = position
        self._prefixes: dict[bytes, set[Watcher]] = {}
        self._prefix_lengths: tuple[int, ...] = ()
        self._keys: dict[bytes, set[Watcher]] = {}
        self._others: set[Watcher] = set()
        self._expecting: set[Watcher] = set()
        self._closed: Exception | None = None

    def add(self, start: bytes, end: bytes | None, after: Revision) -> Watcher:
        """Register a watcher of events behind `after`."""
        watcher = Watcher(self, start, end, after)
        self._table_entry(watcher).add(watcher)
        self._measure()
        if self._closed is not None:
            watcher.fail(self._closed)
        return watcher

    def remove(self, watcher: Watcher) -> None:
        """Forget a watcher."""
        start, end = watcher.bounds
        self._expecting.discard(watcher)
        entry = self._table_entry(watcher)
        entry.discard(watcher)
        if not entry and entry is not self._others:
            (self._keys if end is None else self._prefixes).pop(start, None)
        self._measure()

    def publish(self, events: Sequence[Event], revision: Revision) -> None:
        """Deliver the events of complete revisions up to `revision`. Complexity: events × (prefix lengths + interested watchers)."""
        prefixes, lengths = self._prefixes, self._prefix_lengths
        for event in events:
            key = event.kv.key
            for length in lengths:
                for watcher in prefixes.get(key[:length], ()):
                    watcher.push(event)
            for watcher in self._keys.get(key, ()):
                watcher.push(event)
            for watcher in self._others:
                if contains(*watcher.bounds, key):
                    watcher.push(event)
        self.position = revision
        if self._expecting:
            self._expecting = {watcher for watcher in self._expecting if not watcher.notice_position()}

    def expect(self, watcher: Watcher) -> None:
        """Have `watcher` woken when the revision that it was asked about is published."""
        self._expecting.add(watcher)

    def skip(self, revision: Revision) -> None:
        """Go on at `revision`: events before it cannot be had; watchers find out from the log whether they can go on."""
        self.position = revision
        for watcher in self._all():
            watcher.fall_behind()

    def close(self) -> None:
        """End all watches; later ones end at once."""
        self._closed = Closed()
        for watcher in self._all():
            watcher.fail(self._closed)

    def _all(self) -> list[Watcher]:
        groups = (*self._prefixes.values(), *self._keys.values(), self._others)
        return [watcher for group in groups for watcher in group]

    def _table_entry(self, watcher: Watcher) -> set[Watcher]:
        start, end = watcher.bounds
        if end is None:
            return self._keys.setdefault(start, set())
        if prefix_of(start, end) is None:
            return self._others
        return self._prefixes.setdefault(start, set())

    def _measure(self) -> None:
        self._prefix_lengths = tuple(sorted({len(prefix) for prefix in self._prefixes}))

"""One watch: the initial objects, then the ring's events through the watcher's selectors, with bookmarks.

A watcher pulls; nobody pushes into it. When it is slower than the ring is long, it ends with RevisionExpired and its client lists again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self

from k3py.storage.errors import RevisionExpired
from k3py.storage.interface import WatchType
from k3py.storage.watch_cache.event import CacheWatchItem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.storage.cached_object import CachedObject
    from k3py.storage.interface import WatchItem
    from k3py.storage.watch_cache.cache import WatchCache
    from k3py.storage.watch_cache.event import CacheEvent
    from k3py.storage.watch_cache.selection import Selection

BATCH: Final = 256
SCAN: Final = 1024
BOOKMARK_S: Final = 60.0
FAREWELL_S: Final = 2.0


class Watcher:
    """An async iterator of non-empty batches.

    Args:
        cache: to read from.
        selection: what to see.
        position: sequence number in the ring to go on from.
        after: events up to this revision are skipped (a watch may start in the future).
        initial: objects to deliver as ADDED first.
        mark_end: close the initial objects with the bookmark of streaming lists, of this revision; None = do not.
        bookmarks: send a bookmark about once a minute.
        lifetime_s: how long the watch will last, for a bookmark shortly before its end; 0 = not known.
    """

    def __init__(
        self,
        cache: WatchCache,
        selection: Selection,
        *,
        position: int,
        after: int = 0,
        initial: Sequence[CachedObject] = (),
        mark_end: int | None = None,
        bookmarks: bool = False,
        lifetime_s: float = 0,
    ) -> None:
        self._cache = cache
        self._selection = selection
        self._position = position
        self._after = after
        self._initial = initial
        self._initial_at = 0
        self._mark_end = mark_end
        self._farewell_at = asyncio.get_running_loop().time() + lifetime_s - FAREWELL_S if lifetime_s else 0.0
        self._bookmark_at = self._next_bookmark_s() if bookmarks else None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sequence[WatchItem]:
        if self._initial_at < len(self._initial):
            return self._next_initial()
        if self._mark_end is not None:
            revision, self._mark_end = self._mark_end, None
            view = self._cache.codec.bookmark(revision, ends_initial_events=True)
            return [CacheWatchItem(WatchType.BOOKMARK, view, ends_initial_events=True)]
        while True:
            batch = self._collect()
            if batch:
                return batch
            if self._cache.closed is not None:
                raise self._cache.closed
            if self._bookmark_at is not None and asyncio.get_running_loop().time() >= self._bookmark_at:
                self._bookmark_at = self._next_bookmark_s()
                # Sent without progress too: it tells the client, and the boxes between, that the watch is alive.
                view = self._cache.codec.bookmark(
                    max(self._cache.revision, self._after), ends_initial_events=False
                )
                return [CacheWatchItem(WatchType.BOOKMARK, view)]
            if self._position == self._cache.ring.end:
                await self._cache.sleep(self._bookmark_at)
            else:
                await asyncio.sleep(0)  # a long stretch of events was not for this watcher: let others run

    def _next_initial(self) -> Sequence[WatchItem]:
        views = self._initial[self._initial_at : self._initial_at + BATCH]
        self._initial_at += len(views)
        if self._initial_at >= len(self._initial):
            self._initial, self._initial_at = (), 0
        return [CacheWatchItem(WatchType.ADDED, view) for view in views]

    def _next_bookmark_s(self) -> float:
        # Whole minutes of the loop's clock: all watchers of the process wake up together.
        now_s = asyncio.get_running_loop().time()
        minute_s = (now_s // BOOKMARK_S + 1.0) * BOOKMARK_S
        return min(minute_s, self._farewell_at) if self._farewell_at > now_s else minute_s

    def _collect(self) -> list[WatchItem]:
        ring = self._cache.ring
        if self._position < ring.first:
            raise RevisionExpired("too old resource version: the watch fell behind the recent events")
        items: list[WatchItem] = []
        everything = self._selection.everything
        events = ring.slice(self._position, BATCH if everything else SCAN)
        self._position += len(events)
        for event in events:
            if event.revision <= self._after:
                continue
            kind = _everything(event) if everything else self._transition(event)
            if kind is not None:
                items.append(event.item(kind))
        return items

    def _transition(self, event: CacheEvent) -> WatchType | None:
        accepts = self._selection.accepts
        was = event.previous is not None and accepts(event.previous)
        now = event.new is not None and accepts(event.new)
        if now:
            return WatchType.MODIFIED if was else WatchType.ADDED
        return WatchType.DELETED if was else None


def _everything(event: CacheEvent) -> WatchType:
    if event.new is None:
        return WatchType.DELETED
    return WatchType.ADDED if event.previous is None else WatchType.MODIFIED

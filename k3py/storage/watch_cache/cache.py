"""All objects of one stored kind as served bytes, in key order, with their recent history.

Fed by the hub (`storage.hub`) in revision order; read without waiting. A past state within the ring's reach is the current one with
the later events undone, so snapshots cost nothing until somebody pages. One event loop owns it.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from typing import TYPE_CHECKING

from k3py.storage.errors import RevisionExpired
from k3py.storage.keys import make_local_key
from k3py.storage.watch_cache.event import CacheEvent
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.storage.cached_object import CachedObject
    from k3py.storage.codec import Codec
    from k3py.storage.revision_clock import RevisionClock
    from k3py.storage.watch_cache.ring import EventRing
    from k3py.storage.watch_cache.selection import Selection


class WatchCache:
    """Objects by local key ("namespace/name" or "name").

    Args:
        codec: of the kind.
        revisions: tells the revision up to which this cache is complete.
        ring: recent changes; its start is the revision of `views`.
        views: current objects by local key.
    """

    def __init__(
        self,
        codec: Codec,
        revisions: RevisionClock,
        ring: EventRing,
        views: dict[str, CachedObject],
    ) -> None:
        self.codec = codec
        self.revisions = revisions
        self.ring = ring
        self.closed: Exception | None = None
        self._views = views
        self._keys = sorted(views)
        self._sleepers: set[asyncio.Future[None]] = set()

    @property
    def revision(self) -> int:
        """The revision of the current state."""
        return self.revisions.revision

    def __len__(self) -> int:
        return len(self._views)

    def find(self, local_key: str) -> CachedObject | None:
        """Return the current object, if there is one."""
        return self._views.get(local_key)

    def put(self, local_key: str, view: CachedObject) -> None:
        """Take in a created or changed object; `notify` wakes the watchers."""
        previous = self._views.get(local_key)
        if previous is None:
            insort(self._keys, local_key)
        self._views[local_key] = view
        self._log(local_key, view.revision, view, previous)

    def remove(self, local_key: str, revision: int) -> None:
        """Take in a deletion; `notify` wakes the watchers."""
        previous = self._views.pop(local_key, None)
        if previous is None:
            return
        del self._keys[bisect_left(self._keys, local_key)]
        self._log(local_key, revision, None, previous)

    def replace(self, views: dict[str, CachedObject], revision: int) -> None:
        """Take in the whole state of `revision` without its history: all watchers end with RevisionExpired."""
        self._views = views
        self._keys = sorted(views)
        self.ring.restart(revision)
        self.notify()

    def notify(self) -> None:
        """Wake all watchers that wait."""
        sleepers, self._sleepers = self._sleepers, set()
        for sleeper in sleepers:
            if not sleeper.done():
                sleeper.set_result(None)

    def close(self, error: Exception) -> None:
        """End all watchers with `error`."""
        self.closed = error
        self.notify()

    async def sleep(self, until_s: float | None) -> None:
        """Wait for the next `notify`, or until the loop's time is `until_s`."""
        loop = asyncio.get_running_loop()
        sleeper: asyncio.Future[None] = loop.create_future()
        self._sleepers.add(sleeper)
        timer = None if until_s is None else loop.call_at(until_s, _wake, sleeper)
        try:
            await sleeper
        finally:
            self._sleepers.discard(sleeper)
            if timer is not None:
                timer.cancel()

    def select(self, selection: Selection, *, start: str = "") -> Sequence[CachedObject]:
        """Return the current objects that `selection` accepts, from the local key `start` on, in key order."""
        if selection.name and (selection.namespace or not self.codec.kind.namespaced):
            key = make_local_key(selection.namespace, selection.name)
            view = self._views.get(key)
            found = [view] if view is not None and key >= start else []
        else:
            low, high = self._bounds(selection.namespace, start)
            views = self._views
            found = [views[key] for key in self._keys[low:high]]
        if not selection.filtered:
            return found
        accepts = selection.accepts
        return [view for view in found if accepts(view)]

    def select_at(self, revision: int, selection: Selection, *, start: str = "") -> Sequence[CachedObject]:
        """Like `select`, of the state at a past `revision`.

        Raises:
            RevisionExpired: the ring does not reach back that far.
        """
        if revision < self.ring.start_revision:
            raise RevisionExpired("the provided continue parameter is too old")
        later = self.ring.slice(self.ring.position_after(revision), self.ring.end)
        if not later:
            return self.select(selection, start=start)
        undone: dict[str, CachedObject | None] = {}
        for event in reversed(later):
            undone[event.local_key] = event.previous
        low, high = self._bounds(selection.namespace, start)
        lower = f"{selection.namespace}/" if selection.namespace else ""
        found = {key: self._views[key] for key in self._keys[low:high] if key not in undone}
        found |= {
            key: view
            for key, view in undone.items()
            if view is not None and key >= start and key.startswith(lower)
        }
        return [found[key] for key in sorted(found) if selection.accepts(found[key])]

    def _bounds(self, namespace: str, start: str) -> tuple[int, int]:
        keys = self._keys
        if not namespace:
            return bisect_left(keys, start), len(keys)
        low = bisect_left(keys, max(start, f"{namespace}/"))
        return low, max(low, bisect_left(keys, f"{namespace}0"))  # "0" follows "/"

    def _log(
        self,
        local_key: str,
        revision: int,
        new: CachedObject | None,
        previous: CachedObject | None,
    ) -> None:
        event = CacheEvent(self.codec, revision=revision, local_key=local_key, new=new, previous=previous)
        self.ring.append(event, clock.monotonic_s())


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)

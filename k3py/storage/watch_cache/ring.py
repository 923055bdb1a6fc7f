"""The recent changes of a kind, in order: what watches resume from and snapshots are rebuilt from.

Watchers read it at their own pace by sequence number, so that it is every watcher's bounded queue at once: whoever falls behind its
start must list again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.storage.watch_cache.event import CacheEvent

MAX_EVENTS: Final = 8192
MAX_BYTES: Final = 16_000_000
MAX_AGE_S: Final = 300.0
MARK_EVERY_S: Final = 30.0
_TRIM_SLACK: Final = 512


class EventRing:
    """Events by sequence number (0, 1, 2 … since the cache began).

    Attributes:
        start_revision: all events behind this revision are here.
        size_bytes: bytes that only this ring keeps alive.
    """

    def __init__(
        self,
        start_revision: int,
        *,
        max_events: int = MAX_EVENTS,
        max_bytes: int = MAX_BYTES,
        max_age_s: float = MAX_AGE_S,
    ) -> None:
        self.start_revision = start_revision
        self.size_bytes = 0
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._events: list[CacheEvent] = []
        self._first = 0
        self._marks: deque[tuple[float, int]] = deque()  # (time, sequence at that time)

    @property
    def first(self) -> int:
        """Sequence number of the oldest event that is still here."""
        return self._first

    @property
    def end(self) -> int:
        """Sequence number of the next event."""
        return self._first + len(self._events)

    def append(self, event: CacheEvent, now_s: float) -> None:
        """Add the newest event; `now_s` is monotonic."""
        self._events.append(event)
        self.size_bytes += event.cost_bytes
        if not self._marks or now_s - self._marks[-1][0] >= MARK_EVERY_S:
            self._marks.append((now_s, self.end - 1))
        self._trim(now_s)

    def slice(self, start: int, count: int) -> Sequence[CacheEvent]:
        """Return up to `count` events from sequence number `start` (>= `first`) on."""
        at = start - self._first
        return self._events[at : at + count]

    def position_after(self, revision: int) -> int:
        """Return the sequence number of the first event behind `revision` (>= `start_revision`)."""
        return self._first + bisect_right(self._events, revision, key=lambda event: event.revision)

    def restart(self, revision: int) -> None:
        """Forget everything, also for watchers that have seen all of it: what came between it and `revision` is not known."""
        self._first = self.end + 1
        self._events.clear()
        self._marks.clear()
        self.size_bytes = 0
        self.start_revision = revision

    def _trim(self, now_s: float) -> None:
        excess = len(self._events) - self._max_events
        drop = excess if excess > _TRIM_SLACK else 0  # in gulps: moving the list costs
        while len(self._marks) > 1 and now_s - self._marks[1][0] > self._max_age_s:
            self._marks.popleft()
            drop = max(drop, self._marks[0][1] - self._first)
        if self.size_bytes > self._max_bytes:
            size = self.size_bytes - sum(event.cost_bytes for event in self._events[:drop])
            while size > self._max_bytes * 7 // 8 and drop < len(self._events):
                size -= self._events[drop].cost_bytes
                drop += 1
        drop = min(drop, len(self._events))
        if drop <= 0:
            return
        gone = self._events[:drop]
        # All events of one revision leave together, else a watch could resume in the middle of a transaction.
        while drop < len(self._events) and self._events[drop].revision == gone[-1].revision:
            gone.append(self._events[drop])
            drop += 1
        del self._events[:drop]
        self._first += drop
        self.size_bytes -= sum(event.cost_bytes for event in gone)
        self.start_revision = gone[-1].revision

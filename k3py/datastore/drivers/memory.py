"""`memory://`: a log in this process's memory, for tests, simulations and state that need not outlive the process."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from contextlib import asynccontextmanager
from itertools import islice
from typing import TYPE_CHECKING

from k3py.datastore.interface import Event, EventType, KeyValue, LeaseId, RangeOp, RangeResult, Revision
from k3py.datastore.mvcc.backend import open_mvcc
from k3py.datastore.mvcc.evaluation import shaped
from k3py.datastore.mvcc.keyrange import UNBOUNDED, contains
from k3py.datastore.mvcc.log import FIRST_REVISION, Commit, Lease, Log, LogPage, LogSize, LogState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from k3py.datastore.mvcc.backend import MvccBackend


@asynccontextmanager
async def open_memory(*, history_s: float | None) -> AsyncIterator[MvccBackend]:
    """Open an empty store; `history_s` as in `open_mvcc`."""
    async with open_mvcc(MemoryLog(), driver="memory", history_s=history_s) as backend:
        yield backend


class MemoryLog:
    """See `Log`. Changes cost O(log keys); a read at an old revision also the number of changes since then."""

    def __init__(self) -> None:
        self._revision = Revision(FIRST_REVISION)
        self._compact_revision = Revision(0)
        self._rows: dict[bytes, KeyValue] = {}
        self._keys: list[bytes] = []
        self._events: list[Event] = []
        self._event_revisions: list[int] = []
        self._leases: dict[LeaseId, Lease] = {}
        self._attached: dict[LeaseId, set[bytes]] = {}

    async def load(self) -> LogState:
        """See `Log`."""
        return LogState(self._revision, self._compact_revision, tuple(self._leases.values()))

    async def current(self, keys: Iterable[bytes]) -> Mapping[bytes, KeyValue]:
        """See `Log`."""
        rows = self._rows
        return {key: rows[key] for key in keys if key in rows}

    async def lease_keys(self, lease: LeaseId) -> Sequence[bytes]:
        """See `Log`."""
        return tuple(self._attached.get(lease, ()))

    async def append(self, commit: Commit) -> None:
        """See `Log`."""
        for lease in commit.grants:
            self._leases[lease.id] = lease
        for event in commit.events:
            self._apply(event)
            self._events.append(event)
            self._event_revisions.append(event.kv.mod_revision)
            self._revision = event.kv.mod_revision
        for revoked in commit.revokes:
            self._leases.pop(revoked, None)
            self._attached.pop(revoked, None)

    def _apply(self, event: Event) -> None:
        key = event.kv.key
        previous = self._rows.get(key)
        if previous is not None and previous.lease:
            self._attached[previous.lease].discard(key)
        if event.type is EventType.DELETE:
            if previous is None:
                return  # the mark of `MvccBackend.advance`
            del self._rows[key]
            del self._keys[bisect_left(self._keys, key)]
            return
        if previous is None:
            insort(self._keys, key)
        self._rows[key] = event.kv
        if event.kv.lease:
            self._attached.setdefault(event.kv.lease, set()).add(key)

    async def range(
        self, start: bytes, end: bytes | None, *, limit: int, revision: int, count_only: bool, keys_only: bool
    ) -> RangeResult:
        """See `Log`."""
        if revision and revision < self._revision:
            op = RangeOp(start, end, limit=limit, count_only=count_only, keys_only=keys_only)
            return shaped(self._rows_at(start, end, revision), op, self._revision)
        first, last = self._slice(start, end)
        count = last - first
        if count_only:
            return RangeResult((), count, self._revision)
        keys = islice(self._keys, first, first + min(limit, count) if limit else last)
        rows = [self._rows[key] for key in keys]
        return shaped_page(rows, count, keys_only=keys_only, revision=self._revision)

    def _slice(self, start: bytes, end: bytes | None) -> tuple[int, int]:
        first = bisect_left(self._keys, start)
        if end is None:
            return first, first + (start in self._rows)
        last = len(self._keys) if end == UNBOUNDED else bisect_left(self._keys, end)
        return first, max(first, last)

    def _rows_at(self, start: bytes, end: bytes | None, revision: int) -> list[KeyValue]:
        first, last = self._slice(start, end)
        rows: dict[bytes, KeyValue | None] = {key: self._rows[key] for key in self._keys[first:last]}
        changed: set[bytes] = set()
        for event in self._events[bisect_right(self._event_revisions, revision) :]:
            key = event.kv.key
            if key not in changed and contains(start, end, key):
                changed.add(key)
                rows[key] = event.previous
        return [row for _, row in sorted(rows.items()) if row is not None]

    async def events(self, start: bytes, end: bytes | None, *, after: Revision, limit: int) -> LogPage:
        """See `Log`."""
        found: list[Event] = []
        at = bisect_right(self._event_revisions, after)
        for event in islice(self._events, at, None):
            if len(found) >= limit and event.kv.mod_revision != found[-1].kv.mod_revision:
                return LogPage(tuple(found), found[-1].kv.mod_revision)
            if contains(start, end, event.kv.key):
                found.append(event)
        return LogPage(tuple(found), self._revision)

    async def set_compact_revision(self, revision: Revision) -> None:
        """See `Log`."""
        self._compact_revision = revision

    async def purge(self, budget_s: float) -> bool:
        """See `Log`."""
        kept = bisect_left(self._event_revisions, self._compact_revision)
        del self._events[:kept]
        del self._event_revisions[:kept]
        return False

    async def defragment(self, budget_s: float) -> bool:
        """See `Log`."""
        return False

    async def size(self) -> LogSize:
        """See `Log`."""
        total = sum(len(kv.key) + len(kv.value) for kv in self._rows.values())
        return LogSize(total, total)


def shaped_page(rows: list[KeyValue], count: int, *, keys_only: bool, revision: Revision) -> RangeResult:
    """Make the answer from the rows of one page."""
    if keys_only:
        rows = [
            KeyValue(row.key, b"", row.create_revision, row.mod_revision, row.version, row.lease)
            for row in rows
        ]
    return RangeResult(tuple(rows), count, revision)


if TYPE_CHECKING:

    def _is_log(log: MemoryLog) -> Log:
        return log

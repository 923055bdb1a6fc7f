"""`Backend` over any `Log`: one writer task gives out revisions and commits whatever queued up meanwhile as one group.

A write's way: caller → queue → writer task: read the rows it looks at → evaluate the group in order → one durable append → publish
to watchers → answer the callers. Nothing is visible before it is durable, and a revision exists only with its commit, so revisions
are dense and never reused. The halves: `reading`, `writer`, `lease_keeping`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from k3py.datastore.errors import Compacted, FutureRevision
from k3py.datastore.interface import (
    NO_LEASE,
    Event,
    EventType,
    KeyValue,
    LeaseId,
    PutOp,
    RangeOp,
    Revision,
    TxnOp,
)
from k3py.datastore.mvcc import evaluation
from k3py.datastore.mvcc.compactor import PAUSE_S, SLICE_S
from k3py.datastore.mvcc.lease_keeping import LeaseKeeper
from k3py.datastore.mvcc.log import Commit
from k3py.datastore.mvcc.writer import Write
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from k3py.datastore.interface import Backend, Compare, Op, TxnResult
    from k3py.datastore.mvcc.evaluation import Bounds
    from k3py.datastore.mvcc.log import Log, LogState


@asynccontextmanager
async def open_mvcc(
    rows: Log, *, driver: str, history_s: float | None = None, window_s: float = 0.0
) -> AsyncIterator[MvccBackend]:
    """Open a backend over `rows` (which the caller closes afterwards) and run its tasks until the block is left.

    Queued writes are finished on leaving; watches then end with Unavailable.

    Args:
        rows: the driver's log.
        driver: its name, for status and task names.
        history_s: compact what is older than this, seconds; None: only when `compact` is called.
        window_s: collect writes for so long before they are committed as a group: fewer, larger groups; 0: as they come.
    """
    backend = MvccBackend(rows, await rows.load(), driver=driver, history_s=history_s, window_s=window_s)
    async with TaskScope() as scope:
        writer = scope.spawn(backend.run_writer(), name=f"datastore-writer-{driver}")
        _ = scope.spawn(backend.reaper.run(), name=f"datastore-leases-{driver}")
        _ = scope.spawn(backend.compactor.run(), name=f"datastore-compactor-{driver}")
        if backend.retention is not None:
            _ = scope.spawn(backend.retention.run(), name=f"datastore-retention-{driver}")
        try:
            yield backend
        finally:
            backend.stop()
            await asyncio.wait((writer,))
            scope.cancel()


class MvccBackend(LeaseKeeper):
    """See `Backend`; made by `open_mvcc`."""

    def __init__(
        self,
        rows: Log,
        state: LogState,
        *,
        driver: str,
        history_s: float | None = None,
        window_s: float = 0.0,
    ) -> None:
        super().__init__(rows, state, driver=driver, history_s=history_s, window_s=window_s)

    async def txn(
        self, compares: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op] = ()
    ) -> TxnResult:
        """See `Backend`.

        Raises:
            ValueError: a branch changes a key twice.
            KeyNotFound: a PutOp ignores value or lease of a key that does not exist.
        """
        keys: list[bytes] = []
        ranges: list[Bounds] = []
        historic: list[RangeOp] = []
        size_bytes = 0
        pending: deque[Compare | Op] = deque(chain(compares, success, failure))
        while pending:
            item = pending.popleft()
            if isinstance(item, TxnOp):
                pending.extend(chain(item.compares, item.success, item.failure))
                continue
            if isinstance(item, RangeOp) and item.revision:
                historic.append(item)
                continue
            if isinstance(item, PutOp):
                size_bytes += len(item.value)
            elif item.end is not None:
                ranges.append((item.key, item.end))
                continue
            keys.append(item.key)
        write = Write(
            asyncio.get_running_loop().create_future(),
            partial(
                evaluation.evaluate_txn,
                compares=compares,
                success=success,
                failure=failure,
                leases=self.reaper,
            ),
            keys,
            ranges,
            historic,
            size_bytes,
        )
        result: TxnResult = await self._enqueue(write).future
        return result

    async def create(self, key: bytes, value: bytes, *, lease: LeaseId = NO_LEASE) -> Revision | None:
        """See `Backend`."""
        evaluate = partial(evaluation.evaluate_create, key=key, value=value, lease=lease, leases=self.reaper)
        future: asyncio.Future[Revision | None] = asyncio.get_running_loop().create_future()
        self._enqueue(Write(future, evaluate, (key,), size_bytes=len(value)))
        return await future

    async def update(
        self, key: bytes, value: bytes, *, expected: Revision, lease: LeaseId = NO_LEASE
    ) -> tuple[Revision | None, KeyValue | None]:
        """See `Backend`."""
        evaluate = partial(
            evaluation.evaluate_update, kv=(key, value, lease), expected=expected, leases=self.reaper
        )
        future: asyncio.Future[tuple[Revision | None, KeyValue | None]] = (
            asyncio.get_running_loop().create_future()
        )
        self._enqueue(Write(future, evaluate, (key,), size_bytes=len(value)))
        return await future

    async def delete(self, key: bytes, *, expected: Revision) -> tuple[Revision | None, KeyValue | None]:
        """See `Backend`."""
        evaluate = partial(evaluation.evaluate_delete, key=key, expected=expected)
        future: asyncio.Future[tuple[Revision | None, KeyValue | None]] = (
            asyncio.get_running_loop().create_future()
        )
        self._enqueue(Write(future, evaluate, (key,)))
        return await future

    def compact_by_itself(self, *, whether: bool) -> None:
        """See `Backend`."""
        if self.retention is not None:
            self.retention.enable(whether=whether)

    def on_compacted(self, note: Callable[[int], Awaitable[None]]) -> None:
        """See `Backend`."""
        if self.retention is not None:
            self.retention.on_compacted(note)

    async def compact(self, revision: Revision, *, physical: bool = False) -> None:
        """See `Backend`."""
        async with self._writing:
            if revision <= self._compact_revision:
                raise Compacted(self._compact_revision)
            if revision > self.current_revision:
                raise FutureRevision(self.current_revision)
            await self._log.set_compact_revision(revision)
            self._compact_revision = revision
        self.compactor.wake()
        if physical:
            await self.compactor.finished()

    async def defragment(self) -> None:
        """See `Backend`."""
        self.compactor.wake()
        await self.compactor.finished()
        more = True
        while more:
            more = await self._defragment()
            await asyncio.sleep(PAUSE_S)

    async def _defragment(self) -> bool:
        async with self._writing:
            return await self._log.defragment(SLICE_S)

    async def advance(self, revision: Revision) -> None:
        """Let revisions go on above `revision`, and compact all below: after a restore, clients may have seen later ones ([253]).

        The log gets a tombstone of the empty key there, which is in nobody's range.
        """
        async with self._writing:
            await self._advance(revision)
        self.compactor.wake()

    async def _advance(self, revision: Revision) -> None:
        if revision <= self.current_revision:
            return
        mark = KeyValue(b"", b"", Revision(0), revision, 0)
        await self._log.append(Commit((Event(EventType.DELETE, mark),)))
        self._broadcaster.publish((), revision)
        await self._log.set_compact_revision(revision)
        self._compact_revision = revision


if TYPE_CHECKING:

    def _is_backend(backend: MvccBackend) -> Backend:
        return backend

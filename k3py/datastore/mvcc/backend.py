"""`Backend` over any `Log`: one writer task gives out revisions and commits whatever queued up meanwhile as one group.

A write's way: caller → queue → writer task: read the rows it looks at → evaluate the group in order → one durable append → publish
to watchers → answer the callers. Nothing is visible before it is durable, and a revision exists only with its commit, so revisions
are dense and never reused.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from k3py.datastore.errors import (
    Closed,
    Compacted,
    DatastoreError,
    FutureRevision,
    LeaseExists,
    LeaseNotFound,
    NoSpace,
    Unavailable,
)
from k3py.datastore.interface import (
    NO_LEASE,
    BackendStatus,
    Event,
    EventType,
    KeyValue,
    LeaseId,
    LeaseStatus,
    PutOp,
    RangeOp,
    Revision,
    TxnOp,
)
from k3py.datastore.mvcc import evaluation
from k3py.datastore.mvcc.broadcaster import Broadcaster
from k3py.datastore.mvcc.compactor import PAUSE_S, SLICE_S, Compactor
from k3py.datastore.mvcc.evaluation import View
from k3py.datastore.mvcc.leases import GRANTED_AT_UNKNOWN_S, LeaseReaper, remaining_s
from k3py.datastore.mvcc.log import Commit, Lease
from k3py.datastore.mvcc.retention import Retention
from k3py.util import clock
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from k3py.datastore.interface import Backend, Compare, Op, RangeResult, TxnResult
    from k3py.datastore.mvcc.broadcaster import Watcher
    from k3py.datastore.mvcc.evaluation import Bounds
    from k3py.datastore.mvcc.log import Log, LogPage, LogState

log = logging.getLogger(__name__)

GROUP_WRITES = 256
GROUP_BYTES = 4 << 20
QUEUE_WRITES = 20_000
MAX_LEASE_TTL_S = 9_000_000_000
REVOKES_AT_ONCE = 200


class _StillAlive(DatastoreError):
    """A lease was kept alive while its end waited in the queue."""


@dataclass(slots=True, eq=False)
class _Write:
    """A queued write: what it looks at, how it is evaluated, who waits for it."""

    future: asyncio.Future[Any]
    evaluate: Callable[[View], tuple[object, Sequence[Event]]]
    keys: Sequence[bytes] = ()
    ranges: Sequence[Bounds] = ()
    historic: Sequence[RangeOp] = ()
    size_bytes: int = 0
    grant: Lease | None = None
    revoke: LeaseId | None = None


@dataclass(slots=True)
class _Evaluated:
    """A group that is ready to be made durable: the changes, the revision after them, what each writer is told then."""

    commit: Commit
    revision: Revision
    outcomes: list[tuple[_Write, object]]
    failures: list[tuple[_Write, Exception]]


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


class MvccBackend:
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
        self._log = rows
        self._window_s = window_s
        self._driver = driver
        self._compact_revision = state.compact_revision
        self._queue: deque[_Write] = deque()
        self._group: list[_Write] = []
        self._queued = asyncio.Event()
        self._writing = asyncio.Lock()
        self._stopping = False
        self._doubtful = False
        self._full = False
        self._granting: dict[LeaseId, Lease] = {}
        self._renewed: set[LeaseId] = set()
        self._broadcaster = Broadcaster(self, state.revision)
        self.compactor = Compactor(self._purge)
        self.retention = (
            None if history_s is None else Retention(self.compact, lambda: self.current_revision, history_s)
        )
        self.reaper = LeaseReaper(self._expire)
        wall_s = clock.wall_s()
        for lease in state.leases:
            self.reaper.add(lease.id, ttl_s=lease.ttl_s, remaining_s=remaining_s(lease, wall_s))

    # Reading

    @property
    def current_revision(self) -> Revision:
        """See `Backend`."""
        return self._broadcaster.position

    async def latest_revision(self) -> Revision:
        """See `Backend`."""
        return self.current_revision

    @property
    def compact_revision(self) -> Revision:
        """The first readable revision (0: nothing was compacted)."""
        return self._compact_revision

    async def range(
        self,
        start: bytes,
        end: bytes | None = None,
        *,
        limit: int = 0,
        revision: int = 0,
        count_only: bool = False,
        keys_only: bool = False,
    ) -> RangeResult:
        """See `Backend`."""
        if revision:
            await self._check_readable(revision)
        return await self._log.range(
            start, end, limit=limit, revision=revision, count_only=count_only, keys_only=keys_only
        )

    async def _check_readable(self, revision: int) -> None:
        if revision < self._compact_revision:
            raise Compacted(self._compact_revision)
        if revision > self.current_revision:
            # A reader may have seen a commit that the writer task is just about to publish.
            state = await self._log.load()
            if revision > state.revision:
                raise FutureRevision(self.current_revision)

    async def events(self, start: bytes, end: bytes | None, *, after: Revision, limit: int) -> LogPage:
        """Read events for watchers that are behind (`broadcaster.History`)."""
        return await self._log.events(start, end, after=after, limit=limit)

    @asynccontextmanager
    async def watch(
        self, start: bytes, end: bytes | None = None, *, after: Revision
    ) -> AsyncIterator[Watcher]:
        """See `Backend`."""
        watcher = self._broadcaster.add(start, end, after)
        try:
            yield watcher
        finally:
            self._broadcaster.remove(watcher)

    async def status(self) -> BackendStatus:
        """See `Backend`."""
        size = await self._log.size()
        return BackendStatus(
            self._driver, self.current_revision, self._compact_revision, size.total_bytes, size.in_use_bytes
        )

    # Writing

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
        write = _Write(
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
        self._enqueue(_Write(future, evaluate, (key,), size_bytes=len(value)))
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
        self._enqueue(_Write(future, evaluate, (key,), size_bytes=len(value)))
        return await future

    async def delete(self, key: bytes, *, expected: Revision) -> tuple[Revision | None, KeyValue | None]:
        """See `Backend`."""
        evaluate = partial(evaluation.evaluate_delete, key=key, expected=expected)
        future: asyncio.Future[tuple[Revision | None, KeyValue | None]] = (
            asyncio.get_running_loop().create_future()
        )
        self._enqueue(_Write(future, evaluate, (key,)))
        return await future

    async def grant_lease(self, ttl_s: int, *, lease: LeaseId = NO_LEASE) -> LeaseId:
        """See `Backend`.

        Raises:
            ValueError: `ttl_s` is not between 1 and 9,000,000,000.
            LeaseExists: `lease` is in use.
        """
        if not 1 <= ttl_s <= MAX_LEASE_TTL_S:
            raise ValueError("too large lease TTL" if ttl_s > 0 else "lease TTL must be positive")
        granted = Lease(lease or LeaseId(secrets.randbits(62) + 1), ttl_s, clock.wall_s())

        def evaluate(_: View) -> tuple[object, Sequence[Event]]:
            # A group may be evaluated twice.
            if granted.id in self.reaper or self._granting.setdefault(granted.id, granted) is not granted:
                raise LeaseExists("lease already exists")
            return granted.id, ()

        write = _Write(asyncio.get_running_loop().create_future(), evaluate, grant=granted)
        try:
            await self._enqueue(write).future
            self.reaper.add(granted.id, ttl_s=ttl_s, remaining_s=ttl_s)
        finally:
            if self._granting.get(granted.id) is granted:
                del self._granting[granted.id]
        return granted.id

    async def keep_alive(self, lease: LeaseId) -> int:
        """See `Backend`.

        The store learns once that a lease is kept alive: from then on it has its whole time after a restart, as an etcd gives it.
        """
        ttl_s = self.reaper.ttl_s(lease)
        if ttl_s is None:
            raise LeaseNotFound("requested lease not found")
        if lease not in self._renewed:
            kept = Lease(lease, ttl_s, GRANTED_AT_UNKNOWN_S)

            def evaluate(_: View) -> tuple[object, Sequence[Event]]:
                if lease not in self.reaper:
                    raise LeaseNotFound("requested lease not found")
                return None, ()

            write = _Write(asyncio.get_running_loop().create_future(), evaluate, grant=kept)
            await self._enqueue(write).future
            if lease not in self.reaper:
                raise LeaseNotFound("requested lease not found")
            self._renewed.add(lease)
        self.reaper.add(lease, ttl_s=ttl_s, remaining_s=ttl_s)
        return ttl_s

    async def lease_status(self, lease: LeaseId) -> LeaseStatus | None:
        """See `Backend`."""
        keys = await self._log.lease_keys(lease)
        ttl_s, remaining = self.reaper.ttl_s(lease), self.reaper.remaining_s(lease)
        if ttl_s is None or remaining is None:
            return None
        return LeaseStatus(lease, ttl_s, remaining, tuple(sorted(keys)))

    async def leases(self) -> tuple[LeaseId, ...]:
        """See `Backend`."""
        return tuple(sorted(self.reaper))

    async def revoke_lease(self, lease: LeaseId) -> None:
        """See `Backend`."""
        if lease not in self.reaper:
            raise LeaseNotFound("requested lease not found")
        await self._enqueue(self._revocation(lease)).future

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

    # The writer task

    def stop(self) -> None:
        """Refuse further writes, finish the queued ones, end the watches."""
        self._stopping = True
        self._queued.set()

    async def run_writer(self) -> None:
        """Commit groups of queued writes until `stop`."""
        try:
            while True:
                await self._queued.wait()
                self._queued.clear()
                while self._queue:
                    if self._window_s and not self._stopping:
                        await asyncio.sleep(self._window_s)
                    async with self._writing:
                        self._group = self._next_group()
                        await self._commit(self._group)
                        self._group = []
                if self._stopping:
                    return
        finally:
            self._stopping = True
            self._fail((*self._group, *self._queue), Closed())
            self._broadcaster.close()

    def _enqueue(self, write: _Write) -> _Write:
        if self._stopping:
            raise Closed
        if len(self._queue) >= QUEUE_WRITES:
            raise Unavailable("too many requests")
        self._queue.append(write)
        self._queued.set()
        return write

    def _next_group(self) -> list[_Write]:
        group: list[_Write] = []
        size_bytes = 0
        while self._queue and len(group) < GROUP_WRITES and size_bytes < GROUP_BYTES:
            write = self._queue.popleft()
            if not write.future.done():
                group.append(write)
                size_bytes += write.size_bytes
        return group

    async def _commit(self, group: list[_Write]) -> None:
        try:
            if self._doubtful:
                await self._settle()
            view = await self._read(group)
        except DatastoreError as error:
            self._fail(group, error)
            return
        evaluated = self._evaluate(group, view)
        if not evaluated.commit.is_empty:
            try:
                await self._log.append(evaluated.commit)
            except NoSpace as error:
                await self._refuse(group, error)
                return
            except DatastoreError as error:
                self._doubtful = True
                self._fail(group, error)
                return
            self._note_space()
        self._answer(evaluated)

    def _note_space(self) -> None:
        if self._full:
            log.warning("there is space for the database again: writes go on")
            self._full = False
            self.compactor.retry()

    @staticmethod
    def _evaluate(group: Sequence[_Write], view: View) -> _Evaluated:
        """Evaluate a group in order; nothing outside `view` changes."""
        events: list[Event] = []
        outcomes: list[tuple[_Write, object]] = []
        failures: list[tuple[_Write, Exception]] = []
        for write in group:
            try:
                result, changes = write.evaluate(view)
            except (DatastoreError, ValueError, TypeError) as error:
                failures.append((write, error))
                continue
            view.apply(changes)
            events.extend(changes)
            outcomes.append((write, result))
        grants = [write.grant for write, _ in outcomes if write.grant is not None]
        revokes = [write.revoke for write, _ in outcomes if write.revoke is not None]
        return _Evaluated(Commit(events, grants, revokes), view.revision, outcomes, failures)

    def _answer(self, evaluated: _Evaluated) -> None:
        """Publish a durable group and tell its writers."""
        commit = evaluated.commit
        for lease in commit.revokes:
            self.reaper.discard(lease)
            self._renewed.discard(lease)
        self._broadcaster.publish(commit.events, evaluated.revision)
        if commit.events and self.retention is not None:
            self.retention.count(commit.events)
        for write, error in evaluated.failures:
            self._fail((write,), error)
        for write, result in evaluated.outcomes:
            if not write.future.done():
                write.future.set_result(result)

    async def _read(self, group: Sequence[_Write]) -> View:
        keys = {key for write in group for key in write.keys}
        attached: dict[LeaseId, Sequence[bytes]] = {}
        for write in group:
            if write.revoke is not None:
                attached[write.revoke] = await self._log.lease_keys(write.revoke)
                keys.update(attached[write.revoke])
        view = View(await self._log.current(keys) if keys else {}, self.current_revision)
        view.attached_before = attached
        for write in group:
            for start, end in write.ranges:
                found = await self._log.range(
                    start, end, limit=0, revision=0, count_only=False, keys_only=False
                )
                view.add_range((start, end), found.kvs)
            for op in write.historic:
                try:
                    view.historic[op] = await self.range(
                        op.key,
                        op.end,
                        limit=op.limit,
                        revision=op.revision,
                        count_only=op.count_only,
                        keys_only=op.keys_only,
                    )
                except (Compacted, FutureRevision) as error:
                    view.historic[op] = error
        return view

    async def _refuse(self, writes: Sequence[_Write], error: NoSpace) -> None:
        """Answer a group that found no space: whatever changes nothing is still answered."""
        if not self._full:
            log.warning("%s: writes are refused until there is", error)
            self._full = True
        for write in writes:
            try:
                result, changes = write.evaluate(await self._read((write,)))
            except (DatastoreError, ValueError, TypeError) as failure:
                self._fail((write,), failure)
                continue
            if changes or write.grant is not None or write.revoke is not None:
                self._fail((write,), error)
            elif not write.future.done():
                write.future.set_result(result)

    async def _settle(self) -> None:
        """After a commit of unknown outcome: publish it if it did happen, before anything else gets a revision."""
        state = await self._log.load()
        while self.current_revision < state.revision:
            page = await self._log.events(b"\0", b"\0", after=self.current_revision, limit=GROUP_WRITES)
            self._broadcaster.publish(page.events, page.revision)
        known = {lease.id for lease in state.leases}
        for lease in state.leases:
            if lease.id not in self.reaper:
                self.reaper.add(lease.id, ttl_s=lease.ttl_s, remaining_s=lease.ttl_s)
        self.reaper.retain(known)
        self._doubtful = False

    @staticmethod
    def _fail(writes: Sequence[_Write], error: Exception) -> None:
        for write in writes:
            if not write.future.done():
                write.future.set_exception(error)

    # Leases and purging

    @staticmethod
    def _revocation(lease: LeaseId) -> _Write:
        evaluate = partial(evaluation.evaluate_revoke, lease=lease)
        return _Write(asyncio.get_running_loop().create_future(), evaluate, revoke=lease)

    def _expiry(self, lease: LeaseId) -> _Write:
        write = self._revocation(lease)
        revoke = write.evaluate

        def evaluate(view: View) -> tuple[object, Sequence[Event]]:
            if self.reaper.remaining_s(lease):
                raise _StillAlive("kept alive")
            return revoke(view)

        write.evaluate = evaluate
        return write

    async def _expire(self, leases: Sequence[LeaseId]) -> None:
        for at in range(0, len(leases), REVOKES_AT_ONCE):
            some = [lease for lease in leases[at : at + REVOKES_AT_ONCE] if lease in self.reaper]
            futures = [self._enqueue(self._expiry(lease)).future for lease in some]
            if futures:
                done, _ = await asyncio.wait(futures)
                for error in [future.exception() for future in done]:
                    if error is not None and not isinstance(error, _StillAlive):
                        raise error

    async def _purge(self, budget_s: float) -> bool:
        async with self._writing:
            return await self._log.purge(budget_s)


if TYPE_CHECKING:

    def _is_backend(backend: MvccBackend) -> Backend:
        return backend

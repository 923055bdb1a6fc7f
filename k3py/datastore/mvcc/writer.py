"""The writing half of a `Backend` over a `Log`: a queue, and one task that commits whatever queued up meanwhile as one group."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from k3py.datastore.errors import Closed, Compacted, DatastoreError, FutureRevision, NoSpace, Unavailable
from k3py.datastore.mvcc.compactor import Compactor
from k3py.datastore.mvcc.evaluation import View
from k3py.datastore.mvcc.leases import LeaseReaper, remaining_s
from k3py.datastore.mvcc.log import Commit, Lease
from k3py.datastore.mvcc.reading import Reader
from k3py.datastore.mvcc.retention import Retention
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from k3py.datastore.interface import Event, LeaseId, RangeOp, Revision
    from k3py.datastore.mvcc.evaluation import Bounds
    from k3py.datastore.mvcc.log import Log, LogState

log = logging.getLogger(__name__)

GROUP_WRITES = 256
GROUP_BYTES = 4 << 20
QUEUE_WRITES = 20_000


@dataclass(slots=True, eq=False)
class Write:
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
class Evaluated:
    """A group that is ready to be made durable: the changes, the revision after them, what each writer is told then."""

    commit: Commit
    revision: Revision
    outcomes: list[tuple[Write, object]]
    failures: list[tuple[Write, Exception]]


class Writer(Reader):
    """What `MvccBackend` writes with."""

    def __init__(
        self, rows: Log, state: LogState, *, driver: str, history_s: float | None, window_s: float
    ) -> None:
        super().__init__(rows, state, driver=driver)
        self._window_s = window_s
        self._queue: deque[Write] = deque()
        self._group: list[Write] = []
        self._queued = asyncio.Event()
        self._writing = asyncio.Lock()
        self._stopping = False
        self._doubtful = False
        self._full = False
        self._renewed: set[LeaseId] = set()
        self.compactor = Compactor(self._purge)
        self.retention = (
            None if history_s is None else Retention(self.compact, lambda: self.current_revision, history_s)
        )
        self.reaper = LeaseReaper(self._expire)
        wall_s = clock.wall_s()
        for lease in state.leases:
            self.reaper.add(lease.id, ttl_s=lease.ttl_s, remaining_s=remaining_s(lease, wall_s))

    async def compact(self, revision: Revision, *, physical: bool = False) -> None:
        """See `Backend`."""
        raise NotImplementedError

    async def _expire(self, leases: Sequence[LeaseId]) -> None:
        raise NotImplementedError

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

    def _enqueue(self, write: Write) -> Write:
        if self._stopping:
            raise Closed
        if len(self._queue) >= QUEUE_WRITES:
            raise Unavailable("too many requests")
        self._queue.append(write)
        self._queued.set()
        return write

    def _next_group(self) -> list[Write]:
        group: list[Write] = []
        size_bytes = 0
        while self._queue and len(group) < GROUP_WRITES and size_bytes < GROUP_BYTES:
            write = self._queue.popleft()
            if not write.future.done():
                group.append(write)
                size_bytes += write.size_bytes
        return group

    async def _commit(self, group: list[Write]) -> None:
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
    def _evaluate(group: Sequence[Write], view: View) -> Evaluated:
        """Evaluate a group in order; nothing outside `view` changes."""
        events: list[Event] = []
        outcomes: list[tuple[Write, object]] = []
        failures: list[tuple[Write, Exception]] = []
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
        return Evaluated(Commit(events, grants, revokes), view.revision, outcomes, failures)

    def _answer(self, evaluated: Evaluated) -> None:
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

    async def _read(self, group: Sequence[Write]) -> View:
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

    async def _refuse(self, writes: Sequence[Write], error: NoSpace) -> None:
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
    def _fail(writes: Sequence[Write], error: Exception) -> None:
        for write in writes:
            if not write.future.done():
                write.future.set_exception(error)

    async def _purge(self, budget_s: float) -> bool:
        async with self._writing:
            return await self._log.purge(budget_s)

"""`Backend` over a database that other k3py servers write too: their commits are learned, published and built upon."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from k3py.datastore.errors import (
    Closed,
    Compacted,
    DatastoreError,
    FutureRevision,
    LeaseNotFound,
    NoSpace,
    Unavailable,
)
from k3py.datastore.mvcc.backend import MvccBackend
from k3py.datastore.mvcc.compactor import SLICE_S
from k3py.datastore.mvcc.leases import remaining_s
from k3py.datastore.mvcc.log import Lease
from k3py.datastore.mvcc.shared_log import OutcomeUnknown, Overtaken
from k3py.datastore.mvcc.writer import Write
from k3py.util import clock
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from k3py.datastore.interface import Backend, Event, LeaseId, Revision
    from k3py.datastore.mvcc.evaluation import View
    from k3py.datastore.mvcc.log import LogState
    from k3py.datastore.mvcc.shared_log import SharedLog, SharedState

log = logging.getLogger(__name__)

LEARN_EVENTS = 1_000
LOCK_ATTEMPTS = 20
MAX_KEY_BYTES = 2048
MAX_WRITE_BYTES = 3 << 20
"""With GROUP_BYTES of others in the same packet, doubled as hexadecimal text, this stays below MySQL's usual 16 MB."""
FOREIGN_LEASE_GRACE_S = 3.0
"""Who granted a lease ends it; the others only if it does not."""

RESOLVE_S = 20.0
"""How long callers wait to learn the outcome of their write when the connection broke during the commit."""

RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


@asynccontextmanager
async def open_shared_mvcc(
    rows: SharedLog, *, driver: str, history_s: float | None
) -> AsyncIterator[SharedMvccBackend]:
    """Open a backend over `rows`; as `open_mvcc` otherwise."""
    backend = SharedMvccBackend(rows, await rows.load(), driver=driver, history_s=history_s)
    async with TaskScope() as scope:
        writer = scope.spawn(backend.run_writer(), name=f"datastore-writer-{driver}")
        for coroutine, what in (
            (rows.follow(backend.notice), "hints"),
            (backend.run_follower(), "follower"),
            (backend.run_freshness(), "freshness"),
            (backend.reaper.run(), "leases"),
            (backend.compactor.run(), "compactor"),
        ):
            _ = scope.spawn(coroutine, name=f"datastore-{what}-{driver}")
        if backend.retention is not None:
            _ = scope.spawn(backend.retention.run(), name=f"datastore-retention-{driver}")
        try:
            yield backend
        finally:
            backend.stop()
            await asyncio.wait((writer,))
            scope.cancel()


class SharedMvccBackend(MvccBackend):
    """See `Backend`; made by `open_shared_mvcc`."""

    def __init__(
        self, rows: SharedLog, state: LogState, *, driver: str, history_s: float | None = None
    ) -> None:
        super().__init__(rows, state, driver=driver, history_s=history_s)
        self._shared = rows
        self._noticed = asyncio.Event()
        self._own_leases: set[LeaseId] = set()
        self._asking: list[asyncio.Future[Revision]] = []
        self._asked = asyncio.Event()
        self._closed = False

    # Following others

    def notice(self) -> None:
        """Tell that another server may have committed."""
        self._noticed.set()

    async def run_follower(self) -> None:
        """Publish what others commit, until cancelled."""
        failures = 0
        while True:
            await self._noticed.wait()
            self._noticed.clear()
            try:
                async with self._writing:
                    if self._doubtful:
                        await self._settle()
                    else:
                        await self._catch_up()
                failures = 0
            except DatastoreError as error:
                if not failures:
                    log.warning("cannot follow the other servers, trying again", extra={"error": str(error)})
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1
                self._noticed.set()

    async def _catch_up(self) -> None:
        """Publish everything that is committed by now."""
        state = await self._shared.refresh()
        if state.revision < self.current_revision:
            log.error(
                "the database was set back to an older state: continuing behind the last known revision",
                extra={"database_revision": state.revision, "known_revision": self.current_revision},
            )
            await self._shared.restore_order(self.current_revision)
            state = await self._shared.refresh()
        await self._take_over(state)

    async def _take_over(self, state: SharedState) -> None:
        """Publish everything up to `state`, which is not older than what is known here."""
        while self.current_revision < state.revision:
            try:
                page = await self._shared.learn(self.current_revision, LEARN_EVENTS)
            except Compacted as error:
                # We were away for longer than the history reaches back.
                self._compact_revision = max(self._compact_revision, error.compact_revision)  # type: ignore[assignment]
                self._broadcaster.skip(max(state.revision, self._compact_revision))
                break
            self._broadcaster.publish(page.events, page.revision)
            if self.retention is not None:
                self.retention.count(page.events)
        self._compact_revision = max(self._compact_revision, state.compact_revision)
        if state.leases is not None:
            self._take_leases(state.leases)
        self._shared.build_on(state)

    def _take_leases(self, leases: tuple[Lease, ...]) -> None:
        self.reaper.retain({lease.id for lease in leases})
        wall_s = clock.wall_s()
        for lease in leases:
            left_s = remaining_s(lease, wall_s)
            grace_s = 0.0 if lease.id in self._own_leases else FOREIGN_LEASE_GRACE_S
            self.reaper.add(lease.id, ttl_s=lease.ttl_s, remaining_s=left_s + grace_s)
        self._own_leases &= {lease.id for lease in leases}

    async def _settle(self) -> None:
        await self._shared.resolve()
        await self._catch_up()
        self._doubtful = False

    async def latest_revision(self) -> Revision:
        """See `Backend`."""
        asking: asyncio.Future[Revision] = asyncio.get_running_loop().create_future()
        self._asking.append(asking)
        self._asked.set()
        if self._closed:
            raise Closed
        return await asking

    async def run_freshness(self) -> None:
        """Answer all who ask for the latest revision at the same time by one read that begins after they asked, until cancelled."""
        try:
            while True:
                await self._asked.wait()
                self._asked.clear()
                asking, self._asking = self._asking, []
                try:
                    revision = await self._shared.latest_revision()
                except DatastoreError as error:
                    _refuse(asking, error)
                    continue
                except BaseException:
                    self._asking += asking
                    raise
                if revision > self.current_revision:
                    self.notice()
                for future in asking:
                    if not future.done():
                        future.set_result(revision)
        finally:
            self._closed = True
            _refuse(self._asking, Closed())

    async def _check_readable(self, revision: int) -> None:
        if revision < self._compact_revision:
            raise Compacted(self._compact_revision)
        if revision > self.current_revision:
            latest = await self.latest_revision()
            if revision > latest:
                raise FutureRevision(latest)

    # Writing

    def _enqueue(self, write: Write) -> Write:
        # What the database cannot take must not fail the group that it would be in.
        if any(len(key) > MAX_KEY_BYTES for key in write.keys):
            raise ValueError(f"a key is longer than {MAX_KEY_BYTES} bytes")
        if write.size_bytes > MAX_WRITE_BYTES:
            raise ValueError(f"values are larger than {MAX_WRITE_BYTES} bytes")
        return super()._enqueue(write)

    async def _commit(self, group: list[Write]) -> None:
        try:
            if self._doubtful:
                await self._settle()
            try:
                await self._attempt(group)
            except Overtaken:
                await self._attempt_locked(group)
        except NoSpace as error:
            await self._refuse(group, error)
        except OutcomeUnknown as error:
            self._doubtful = True
            self._fail(group, error)
        except Overtaken as error:
            self._fail(group, Unavailable(str(error)))
        except DatastoreError as error:
            self._fail(group, error)

    async def _attempt_locked(self, group: list[Write]) -> None:
        """Commit a group while nobody else can; the lock is not held while much is learned."""
        for _ in range(LOCK_ATTEMPTS):
            async with self._shared.locked() as state:
                if 0 <= state.revision - self.current_revision <= LEARN_EVENTS:
                    await self._take_over(state)
                    await self._attempt(group)
                    return
            await self._catch_up()
        raise Unavailable("other servers write faster than this one can follow")

    async def _attempt(self, group: list[Write]) -> None:
        evaluated = self._evaluate(group, await self._read(group))
        try:
            await self._log.append(evaluated.commit)
        except OutcomeUnknown:
            self._doubtful = True
            if not await self._did_happen():
                self._doubtful = False
                raise Overtaken("not written: the connection to the database was lost") from None
        self._note_space()
        self._own_leases.update(lease.id for lease in evaluated.commit.grants)
        self._answer(evaluated)

    async def _did_happen(self) -> bool:
        """Find out about a doubtful commit; raise OutcomeUnknown if that takes too long."""
        deadline = asyncio.get_running_loop().time() + RESOLVE_S
        for attempt in range(1_000):
            try:
                happened = await self._shared.resolve()
            except DatastoreError as error:
                pause_s = RETRY_S[min(attempt, len(RETRY_S) - 1)]
                if self._stopping or asyncio.get_running_loop().time() + pause_s > deadline:
                    raise OutcomeUnknown(f"whether this was written is not known: {error}") from error
                await asyncio.sleep(pause_s)
            else:
                return happened
        return False

    async def compact(self, revision: Revision, *, physical: bool = False) -> None:
        """See `Backend`."""
        if revision > self.current_revision and revision > (latest := await self.latest_revision()):
            raise FutureRevision(latest)
        async with self._writing:
            if revision <= self._compact_revision:
                raise Compacted(self._compact_revision)
            await self._log.set_compact_revision(revision)
            self._compact_revision = revision
        self.compactor.wake()
        if physical:
            await self.compactor.finished()

    async def advance(self, revision: Revision) -> None:
        """See `MvccBackend`."""
        async with self._writing:
            await self._catch_up()
            await self._advance(revision)
        self.compactor.wake()

    async def keep_alive(self, lease: LeaseId) -> int:
        """See `Backend`.

        Stored each time: the other servers must know that it lives.
        """
        ttl_s = self.reaper.ttl_s(lease)
        if ttl_s is None:
            raise LeaseNotFound("requested lease not found")

        def evaluate(_: View) -> tuple[object, Sequence[Event]]:
            if lease not in self.reaper:
                raise LeaseNotFound("requested lease not found")
            return None, ()

        kept = Lease(lease, ttl_s, clock.wall_s())
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._enqueue(Write(future, evaluate, grant=kept))
        await future
        self.reaper.add(lease, ttl_s=ttl_s, remaining_s=ttl_s)
        return ttl_s

    async def _defragment(self) -> bool:
        # As with `_purge`.
        return await self._log.defragment(SLICE_S)

    async def _purge(self, budget_s: float) -> bool:
        # Purging does not touch what writers touch: no need to hold them up.
        return await self._log.purge(budget_s)


def _refuse(asking: list[asyncio.Future[Revision]], error: DatastoreError) -> None:
    for future in asking:
        if not future.done():
            future.set_exception(error)


if TYPE_CHECKING:

    def _is_backend(backend: SharedMvccBackend) -> Backend:
        return backend

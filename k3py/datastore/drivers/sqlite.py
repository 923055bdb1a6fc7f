"""`sqlite:///path`: the log in one SQLite file, durable at every acknowledgement unless told otherwise.

Three connections, each with its thread: the writer's, one for reads, one that moves the write-ahead log into the database file while
the writer goes on (inside a commit that would stop all writes for seconds on an SD card). WAL with synchronous=FULL: a commit is one
fsync (NORMAL and a timer in the other modes of `durability`). A whole group is one INSERT statement (triggers keep the table of current rows), so it costs one hop to the thread and one
hand-over of the interpreter lock: with a busy event loop an `executemany` of 64 rows takes five times as long.

`mvcc.backend` calls whatever changes something from one task at a time, so transactions here need no lock of their own.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

import aiosqlite

from k3py.datastore.drivers.sqlite_file import OwnFile, configure, configure_writer, prepare, translated
from k3py.datastore.durability import Durability
from k3py.datastore.errors import DatastoreError, NoSpace
from k3py.datastore.interface import EventType, KeyValue, LeaseId, RangeResult, Revision
from k3py.datastore.mvcc.backend import open_mvcc
from k3py.datastore.mvcc.log import FIRST_REVISION, Commit, Lease, Log, LogPage, LogSize, LogState
from k3py.datastore.mvcc.row_cache import RowCache
from k3py.datastore.sql import statements
from k3py.datastore.sql.rows import log_rows, to_kv, to_page
from k3py.datastore.sql.sqlite import reserve
from k3py.datastore.sql.sqlite.run_mark import Finding
from k3py.datastore.sql.statements import POSITION_BITS, Statement, Value, first_id
from k3py.util import clock
from k3py.util.files import sync_data
from k3py.util.offload import offload
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from k3py.datastore.durability import Effort
    from k3py.datastore.mvcc.backend import MvccBackend

log = logging.getLogger(__name__)

ROW_CACHE_BYTES = 1 << 20
COMMIT_BYTES = 4 << 10  # what a commit costs apart from its values: some pages
SWITCH_INTERVAL_S = 0.00005
GAPS = {Finding.OTHER_FILE: 1_000_000_000, Finding.LOST_TAIL: 1_000_000}
"""More revisions than can be missing: of years, of the last seconds."""

INSERT_ROWS = 512
SELECT_KEYS = 512
PURGED_REVISIONS = 64
VACUUM_PAGES = 64
SLACK_PAGES = 1024


@asynccontextmanager
async def open_sqlite(
    path: Path, *, history_s: float | None, durability: Durability = Durability.DURABLE
) -> AsyncIterator[MvccBackend]:
    """Open the store in file `path`, making it and its folder if they do not exist; `history_s` as in `open_mvcc`.

    Raises:
        Locked: another process has it open; names it.
        Corrupt: the file is damaged or no store of k3py; names it.
        NoSpace, Unavailable: it cannot be opened.
    """
    effort = durability.effort
    async with AsyncExitStack() as stack:
        stack.enter_context(_short_switch_interval())
        file = await offload(OwnFile.take, path)
        stack.push_async_callback(offload, file.release)
        with translated(path):
            writer = await stack.enter_async_context(aiosqlite.connect(path, isolation_level=None))
            await prepare(writer, path, unclean=file.unclean)
            finding = await file.begin_run(writer, durability)
            await configure_writer(writer, durability)
            reader = await stack.enter_async_context(aiosqlite.connect(path, isolation_level=None))
            await configure(reader, "query_only = ON")
            checkpointer = await stack.enter_async_context(aiosqlite.connect(path, isolation_level=None))
            await configure(checkpointer, "synchronous = FULL", "cache_size = -64")
        await offload(reserve.make_reserve, path)
        rows = SqliteLog(path, writer, reader, effort)
        scope = await stack.enter_async_context(TaskScope())
        _ = scope.spawn(rows.run_checkpoints(checkpointer), name="datastore-checkpoints")
        if effort.sync_s:
            _ = scope.spawn(rows.run_syncs(), name="datastore-syncs")
        stack.callback(scope.cancel)
        stack.push_async_callback(reader.interrupt)
        backend = await stack.enter_async_context(
            open_mvcc(rows, driver="sqlite", history_s=history_s, window_s=effort.window_s)
        )
        if finding is not Finding.NOTHING:
            await _leave_gap(backend, path, finding)
        yield backend


async def _leave_gap(backend: MvccBackend, path: Path, finding: Finding) -> None:
    """Continue behind all revisions that clients may have seen of this store."""
    log.warning(
        "%s: revisions continue behind a gap, clients list anew", finding.value, extra={"database": str(path)}
    )
    await backend.advance(Revision(backend.current_revision + GAPS[finding]))


@contextmanager
def _short_switch_interval() -> Iterator[None]:
    """Let the database threads have the interpreter lock soon.

    An event loop under load lets go of the lock for moments that are too short for a waiting thread to notice, and its turns are too
    short to be interrupted at the default interval of 5 ms. Measured with 64 writers and turns of 3 ms: 27 creates/s, with this interval
    3,000; two threads that compute at the same time lose nothing measurable.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, SWITCH_INTERVAL_S))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class SqliteLog:
    """See `Log`."""

    def __init__(
        self, path: Path, writer: aiosqlite.Connection, reader: aiosqlite.Connection, effort: Effort
    ) -> None:
        self._path = path
        self._writer = writer
        self._reader = reader
        self._cache = RowCache(ROW_CACHE_BYTES)
        self._revision = Revision(FIRST_REVISION)
        self._told_revision = self._revision
        self._compact_revision = 0
        self._purged_revision = 0
        self._purged_at_once = PURGED_REVISIONS
        self._vacuumed_at_once = VACUUM_PAGES
        self._effort = effort
        self._unmoved_bytes = 0
        self._checkpoint_due = asyncio.Event()
        self._sync_due = asyncio.Event()

    # Reading

    async def load(self) -> LogState:
        """See `Log`."""
        ((newest, compacted, purged),) = await self._fetch(self._writer, statements.STATE)
        leases = await self._fetch(self._writer, statements.LEASES)
        self._revision = _revision(newest)
        self._compact_revision = compacted
        self._purged_revision = purged
        return LogState(self._revision, Revision(compacted), tuple(Lease(*row) for row in leases))

    async def current(self, keys: Iterable[bytes]) -> Mapping[bytes, KeyValue]:
        """See `Log`."""
        found: dict[bytes, KeyValue] = {}
        missing: list[bytes] = []
        for key in keys:
            row = self._cache.get(key)
            if row is None:
                missing.append(key)
            else:
                found[key] = row
        for at in range(0, len(missing), SELECT_KEYS):
            some = missing[at : at + SELECT_KEYS]
            for stored in await self._fetch(self._writer, statements.current_rows(len(some)), some):
                kv = to_kv(*stored)
                found[kv.key] = kv
                self._cache.put(kv)
        return found

    async def lease_keys(self, lease: LeaseId) -> Sequence[bytes]:
        """See `Log`."""
        return [row[0] for row in await self._fetch(self._writer, statements.LEASE_KEYS, (lease,))]

    async def range(
        self, start: bytes, end: bytes | None, *, limit: int, revision: int, count_only: bool, keys_only: bool
    ) -> RangeResult:
        """See `Log`."""
        if revision:
            statement = statements.range_then(
                start, end, revision=revision, limit=limit, count_only=count_only, keys_only=keys_only
            )
        elif count_only:
            statement = statements.count_now(start, end)
        else:
            # Somebody may have read a commit whose writer is still to hear of it: whoever reads later must not read the past.
            fresh = end is None and not keys_only and self._told_revision <= self._revision
            row = self._cache.get(start) if fresh else None
            if row is not None:
                return RangeResult((row,), 1, self._revision)
            statement = statements.range_now(start, end, limit=limit, keys_only=keys_only)
        header, *rows = await self._read(statement)
        count = header[2] if header[2] >= 0 else len(rows)
        return RangeResult(tuple([to_kv(*row) for row in rows]), count, self._tell(header[1]))

    async def events(self, start: bytes, end: bytes | None, *, after: Revision, limit: int) -> LogPage:
        """See `Log`."""
        while True:
            header, *rows = await self._read(statements.events_after(start, end, after=after, limit=limit))
            page = to_page(rows, limit, self._tell(header[1]))
            if page is not None:
                return page
            limit *= 4

    def _tell(self, newest_id: int | None) -> Revision:
        revision = _revision(newest_id)
        self._told_revision = max(self._told_revision, revision)
        return revision

    async def _read(self, statement: Statement) -> list[sqlite3.Row]:
        return await self._fetch(self._reader, statement.sql, statement.parameters)

    async def _fetch(
        self, connection: aiosqlite.Connection, sql: str, parameters: Sequence[Value] = ()
    ) -> list[sqlite3.Row]:
        with translated(self._path):
            return list(await connection.execute_fetchall(sql, parameters))

    async def size(self) -> LogSize:
        """See `Log`."""
        ((pages, free, page_bytes),) = await self._fetch(self._reader, statements.SIZES)
        return LogSize(pages * page_bytes, (pages - free) * page_bytes)

    # Writing

    async def append(self, commit: Commit) -> None:
        """See `Log`."""
        try:
            await self._insert(commit)
        except NoSpace:
            deleting = all(event.type is EventType.DELETE for event in commit.events)
            if not deleting or not await self._make_room():
                raise
            await self._insert(commit)
        self._cache.apply(commit.events)
        if commit.events:
            self._revision = commit.events[-1].kv.mod_revision
        self._unmoved_bytes += COMMIT_BYTES + sum(len(event.kv.value) for event in commit.events)
        if self._unmoved_bytes >= self._effort.checkpoint_bytes:
            self._checkpoint_due.set()
        self._sync_due.set()

    async def _insert(self, commit: Commit) -> None:
        rows = log_rows(commit.events)
        if len(rows) <= INSERT_ROWS and not commit.grants and not commit.revokes:
            await self._write(statements.insert_log(len(rows)), _flat(rows))
        else:
            async with self._transaction():
                for lease in commit.grants:
                    await self._write(statements.GRANT, (lease.id, lease.ttl_s, lease.granted_at_s))
                for revoked in commit.revokes:
                    await self._write(statements.REVOKE, (revoked,))
                for at in range(0, len(rows), INSERT_ROWS):
                    some = rows[at : at + INSERT_ROWS]
                    await self._write(statements.insert_log(len(some)), _flat(some))

    async def _make_room(self) -> bool:
        """Find room for what frees space: the reserve, or a write-ahead log that can be begun anew; return whether there is some."""
        released = await offload(reserve.release_reserve, self._path)
        if released:
            log.warning(
                "using the reserve of the database's disk to free space", extra={"database": str(self._path)}
            )
        try:
            ((busy, pages, moved),) = await self._fetch(self._writer, "PRAGMA wal_checkpoint(RESTART)")
        except DatastoreError:
            return released
        return released or (not busy and pages == moved)

    async def _write(self, sql: str, parameters: Sequence[Value] = ()) -> None:
        try:
            await self._fetch(self._writer, sql, parameters)
        except BaseException:
            self._cache.clear()
            raise

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        try:
            await self._write("BEGIN IMMEDIATE")
            yield
            await self._write("COMMIT")
        except BaseException:
            # Cancelled: the thread may still be at any of the statements, and the roll-back queues behind it. It fails when there is
            # nothing to roll back any more, which must not hide why we are here.
            with suppress(DatastoreError):
                await self._write("ROLLBACK")
            raise

    async def run_checkpoints(self, checkpointer: aiosqlite.Connection) -> None:
        """Move the write-ahead log into the file whenever enough was written, until cancelled."""
        while True:
            await self._checkpoint_due.wait()
            self._checkpoint_due.clear()
            self._unmoved_bytes = 0
            try:
                await self._fetch(checkpointer, "PRAGMA wal_checkpoint(PASSIVE)")
            except DatastoreError as error:
                log.warning("cannot move the write-ahead log into the database", extra={"error": str(error)})

    async def run_syncs(self) -> None:
        """Bring what was written to the disk soon after it was acknowledged, until cancelled; asleep when nothing is written.

        The database's other file is enough: SQLite itself syncs it before it moves pages from there.
        """
        wal = self._path.with_name(f"{self._path.name}-wal")
        while True:
            await self._sync_due.wait()
            await asyncio.sleep(self._effort.sync_s)
            self._sync_due.clear()
            try:
                await offload(sync_data, wal)
            except OSError as error:
                log.warning("cannot bring writes to the disk", extra={"file": str(wal), "error": str(error)})

    async def set_compact_revision(self, revision: Revision) -> None:
        """See `Log`."""
        try:
            await self._write(statements.SET_COMPACT_REVISION, (revision,))
        except NoSpace:
            if not await self._make_room():
                raise
            await self._write(statements.SET_COMPACT_REVISION, (revision,))
        self._compact_revision = revision

    async def purge(self, budget_s: float) -> bool:
        """See `Log`."""
        if self._purged_revision >= self._compact_revision:
            return await self._vacuum(budget_s)
        upper = min(self._purged_revision + self._purged_at_once, self._compact_revision)
        begin = clock.monotonic_s()
        try:
            await self._purge_until(upper)
        except NoSpace:
            if not await self._make_room():
                raise
            await self._purge_until(upper)
        self._purged_revision = upper
        self._purged_at_once = _next_size(self._purged_at_once, clock.monotonic_s() - begin, budget_s)
        return True

    async def _purge_until(self, upper: int) -> None:
        ids = (first_id(self._purged_revision), first_id(upper))
        async with self._transaction():
            await self._write(statements.PURGE_SUPERSEDED, ids)
            await self._write(statements.PURGE_TOMBSTONES, ids)
            await self._write(statements.SET_PURGED_REVISION, (upper,))

    async def defragment(self, budget_s: float) -> bool:
        """See `Log`: no slack is left."""
        ((_, free, _),) = await self._fetch(self._writer, statements.SIZES)
        if free:
            await self._vacuum_slice(budget_s)
            return True
        # The file gets shorter only when the write-ahead log is moved into it.
        await self._fetch(self._writer, "PRAGMA wal_checkpoint(TRUNCATE)")
        return False

    async def _vacuum(self, budget_s: float) -> bool:
        """Give a few free pages back to the file system when a quarter of the file is free."""
        ((pages, free, _),) = await self._fetch(self._writer, statements.SIZES)
        if free < SLACK_PAGES or free * 4 < pages:
            await offload(reserve.make_reserve, self._path)
            return False
        await self._vacuum_slice(budget_s)
        return True

    async def _vacuum_slice(self, budget_s: float) -> None:
        begin = clock.monotonic_s()
        with translated(self._path):
            # Not by `execute`: the pragma answers with a row without columns for each page, and sqlite3 stops at the first.
            await self._writer.executescript(f"PRAGMA incremental_vacuum({self._vacuumed_at_once})")
        self._vacuumed_at_once = _next_size(self._vacuumed_at_once, clock.monotonic_s() - begin, budget_s)


def _next_size(size: int, took_s: float, budget_s: float) -> int:
    """Return how much to do in the next slice, from how long this one took."""
    factor = 2.0 if took_s < budget_s / 2 else 0.5 if took_s > budget_s else 1.0
    return max(8, min(10_000, int(size * factor)))


def _revision(newest_id: int | None) -> Revision:
    return Revision(FIRST_REVISION if newest_id is None else newest_id >> POSITION_BITS)


def _flat(rows: Iterable[tuple[Value, ...]]) -> list[Value]:
    return [value for row in rows for value in row]


if TYPE_CHECKING:

    def _is_log(log: SqliteLog) -> Log:
        return log

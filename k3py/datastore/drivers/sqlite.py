"""`sqlite:///path`: the log in one SQLite file, durable at every acknowledgement; the only door to aiosqlite.

Three connections, each with its thread: the writer's, one for reads, one that moves the write-ahead log into the database file while
the writer goes on (inside a commit that would stop all writes for seconds on an SD card). WAL with synchronous=FULL: a commit is one
fsync. A whole group is one INSERT statement (triggers keep the table of current rows), so it costs one hop to the thread and one
hand-over of the interpreter lock: with a busy event loop an `executemany` of 64 rows takes five times as long.

`mvcc.backend` calls whatever changes something from one task at a time, so transactions here need no lock of their own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import sys
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

import aiosqlite

from k3py.datastore.errors import Corrupt, DatastoreError, Locked, NoSpace, Unavailable
from k3py.datastore.interface import Event, EventType, KeyValue, LeaseId, RangeResult, Revision
from k3py.datastore.mvcc.backend import open_mvcc
from k3py.datastore.mvcc.log import FIRST_REVISION, Commit, Lease, Log, LogPage, LogSize, LogState
from k3py.datastore.mvcc.row_cache import RowCache
from k3py.datastore.sql import migrations, statements
from k3py.datastore.sql.sqlite import reserve, seal
from k3py.datastore.sql.sqlite.replacement import finish_replacement
from k3py.datastore.sql.statements import POSITION_BITS, Statement, Value, first_id
from k3py.util import clock
from k3py.util.lock_file import AlreadyLocked, FileLock
from k3py.util.offload import offload
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from k3py.datastore.mvcc.backend import MvccBackend

log = logging.getLogger(__name__)

APPLICATION_ID = 0x6B337079  # "k3py"
PAGE_CACHE_KB = 1_000  # of each of the two connections
ROW_CACHE_BYTES = 1 << 20
CHECKPOINT_BYTES = 4 << 20
"""Roughly so much is written between two checkpoints: a page that changes often reaches the file once per checkpoint."""

COMMIT_BYTES = 8 << 10  # what a commit costs apart from its values: two pages
FORCED_CHECKPOINT_PAGES = 16_000  # the writer does it itself: the other thread cannot follow
WAL_KEPT_BYTES = 16 << 20
SWITCH_INTERVAL_S = 0.00005
CHECKED_BYTES = 32 << 20
"""After an unclean stop a database up to this size is checked at opening (about 0.1 s); a larger one only where it is read."""

INSERT_ROWS = 512
SELECT_KEYS = 512
PURGED_REVISIONS = 64
VACUUM_PAGES = 64
SLACK_PAGES = 256


@asynccontextmanager
async def open_sqlite(path: Path, *, history_s: float | None) -> AsyncIterator[MvccBackend]:
    """Open the store in file `path`, making it and its folder if they do not exist; `history_s` as in `open_mvcc`.

    Raises:
        Locked: another process has it open; names it.
        Corrupt: the file is damaged or no store of k3py; names it.
        NoSpace, Unavailable: it cannot be opened.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(_short_switch_interval())
        lock, unclean = await offload(_take, path)
        stack.enter_context(lock)
        stack.push_async_callback(offload, _seal, path)
        with _translated(path):
            writer = await stack.enter_async_context(aiosqlite.connect(path, isolation_level=None))
            await _prepare(writer, path, unclean=unclean)
            reader = await stack.enter_async_context(aiosqlite.connect(path, isolation_level=None))
            await _configure(reader, "query_only = ON")
            checkpointer = await stack.enter_async_context(aiosqlite.connect(path, isolation_level=None))
            await _configure(checkpointer, "synchronous = FULL", "cache_size = -64")
        await offload(reserve.make_reserve, path)
        rows = SqliteLog(path, writer, reader)
        scope = await stack.enter_async_context(TaskScope())
        _ = scope.spawn(rows.run_checkpoints(checkpointer), name="datastore-checkpoints")
        stack.callback(scope.cancel)
        stack.push_async_callback(reader.interrupt)
        yield await stack.enter_async_context(open_mvcc(rows, driver="sqlite", history_s=history_s))


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


def _take(path: Path) -> tuple[FileLock, bool]:
    """Lock the database, look at it before anything opens it; return the lock and whether SQLite should check it."""
    lock = _lock(path)
    try:
        if seal.is_broken(path):
            raise _damaged(path, "its bytes changed since k3py closed it")
        unclean = _left_open(path) or seal.was_rewritten(path)
        seal.unseal(path)
    except OSError as error:
        lock.release()
        raise Unavailable(f"cannot open the database {path}: {error.strerror or error}") from error
    except Corrupt:
        lock.release()
        raise
    return lock, unclean


def _seal(path: Path) -> None:
    try:
        seal.seal(path)
    except OSError as error:
        log.warning("cannot write the checksum of the database", extra={"error": str(error)})


def _lock(path: Path) -> FileLock:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock.acquire(path.with_name(path.name + ".lock"))
        if (kept := finish_replacement(path)) is not None:
            log.warning("finished an interrupted restore", extra={"database": str(path), "old": str(kept)})
        # SQLite gives its other files the mode of this one.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except AlreadyLocked as error:
        raise Locked(
            f"the database {path} is in use by process {error.pid or 'unknown'}: stop it, or use another data directory"
        ) from error
    except OSError as error:
        raise Unavailable(f"cannot open the database {path}: {error.strerror or error}") from error
    return lock


async def _configure(connection: aiosqlite.Connection, *pragmas: str) -> None:
    for pragma in (f"cache_size = -{PAGE_CACHE_KB}", "trusted_schema = OFF", *pragmas):
        await connection.execute_fetchall(f"PRAGMA {pragma}")


async def _prepare(writer: aiosqlite.Connection, path: Path, *, unclean: bool) -> None:
    """Bring a new, an older or an uncleanly closed database to where it can be used."""
    (empty,) = await _one(writer, "SELECT count(*) = 0 FROM sqlite_schema")
    (application_id,) = await _one(writer, "PRAGMA application_id")
    (version,) = await _one(writer, "PRAGMA user_version")
    if not empty and application_id != APPLICATION_ID:
        raise Corrupt(f"{path} is an SQLite database, but not one of k3py: move it away or name another file")
    if version > len(migrations.SQLITE):
        raise Unavailable(
            f"{path} was written by a newer k3py (schema version {version}, this one knows {len(migrations.SQLITE)})"
        )
    if empty:
        await _configure(writer, "auto_vacuum = INCREMENTAL", f"application_id = {APPLICATION_ID}")
    (mode,) = await _one(writer, "PRAGMA journal_mode = WAL")
    if mode != "wal":
        raise Unavailable(f"the file system of {path} does not support SQLite's write-ahead log")
    await _configure(
        writer,
        "synchronous = FULL",
        f"wal_autocheckpoint = {FORCED_CHECKPOINT_PAGES}",
        f"journal_size_limit = {WAL_KEPT_BYTES}",
    )
    for number, name in enumerate(migrations.SQLITE[version:], start=version + 1):
        script = migrations.script(name)
        await writer.executescript(f"BEGIN IMMEDIATE;{script};PRAGMA user_version = {number};COMMIT")
    if unclean:
        (answer,) = await _one(writer, "PRAGMA quick_check(1)")
        if answer != "ok":
            raise _damaged(path, str(answer))


def _left_open(path: Path) -> bool:
    wal = path.with_name(path.name + "-wal")
    try:
        return wal.stat().st_size > 0 and path.stat().st_size <= CHECKED_BYTES
    except FileNotFoundError:
        return False


async def _one(connection: aiosqlite.Connection, sql: str) -> sqlite3.Row:
    (row,) = await connection.execute_fetchall(sql)
    return row


def _damaged(path: Path, finding: str) -> Corrupt:
    finding = " ".join(finding.split())  # SQLite's may have several lines; a command's error has one
    return Corrupt(
        f"the database {path} is damaged ({finding}). Keep a copy of {path}*, then restore a snapshot (see `k3py etcd-snapshot ls`): "
        "k3py server --cluster-reset --cluster-reset-restore-path=FILE; "
        f"without one try: sqlite3 {path} .recover | sqlite3 {path}.recovered"
    )


_FULL = {sqlite3.SQLITE_FULL}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn SQLite's result codes into conditions."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        if code in _DAMAGED:
            raise _damaged(path, name) from error
        if code in _FULL or (code == sqlite3.SQLITE_IOERR and _disk_is_full(path)):
            raise NoSpace(f"no space left for the database {path}") from error
        raise Unavailable(f"the database {path} cannot do that now ({name}: {error})") from error
    except ValueError as error:  # aiosqlite's way to say that the connection is closed
        raise Unavailable(f"the database {path} is closed") from error


def _disk_is_full(path: Path) -> bool:
    try:
        return os.statvfs(path).f_bavail == 0
    except OSError:
        return False


class SqliteLog:
    """See `Log`."""

    def __init__(self, path: Path, writer: aiosqlite.Connection, reader: aiosqlite.Connection) -> None:
        self._path = path
        self._writer = writer
        self._reader = reader
        self._cache = RowCache(ROW_CACHE_BYTES)
        self._revision = Revision(FIRST_REVISION)
        self._compact_revision = 0
        self._purged_revision = 0
        self._purged_at_once = PURGED_REVISIONS
        self._vacuumed_at_once = VACUUM_PAGES
        self._unmoved_bytes = 0
        self._checkpoint_due = asyncio.Event()

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
                kv = _kv(*stored)
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
            row = self._cache.get(start) if end is None and not keys_only else None
            if row is not None:
                return RangeResult((row,), 1, self._revision)
            statement = statements.range_now(start, end, limit=limit, keys_only=keys_only)
        header, *rows = await self._read(statement)
        count = header[2] if header[2] >= 0 else len(rows)
        return RangeResult(tuple([_kv(*row) for row in rows]), count, _revision(header[1]))

    async def events(self, start: bytes, end: bytes | None, *, after: Revision, limit: int) -> LogPage:
        """See `Log`."""
        while True:
            header, *rows = await self._read(statements.events_after(start, end, after=after, limit=limit))
            events = [_event(row) for row in rows]
            if len(events) < limit:
                return LogPage(tuple(events), _revision(header[1]))
            # The limit may have cut the last revision in two: leave it to the next page.
            cut = events[-1].kv.mod_revision
            whole = [event for event in events if event.kv.mod_revision != cut]
            if whole:
                return LogPage(tuple(whole), whole[-1].kv.mod_revision)
            limit *= 4

    async def _read(self, statement: Statement) -> list[sqlite3.Row]:
        return await self._fetch(self._reader, statement.sql, statement.parameters)

    async def _fetch(
        self, connection: aiosqlite.Connection, sql: str, parameters: Sequence[Value] = ()
    ) -> list[sqlite3.Row]:
        with _translated(self._path):
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
        if self._unmoved_bytes >= CHECKPOINT_BYTES:
            self._checkpoint_due.set()

    async def _insert(self, commit: Commit) -> None:
        rows = _log_rows(commit.events)
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

    async def _vacuum(self, budget_s: float) -> bool:
        """Give a few free pages back to the file system when a quarter of the file is free."""
        ((pages, free, _),) = await self._fetch(self._writer, statements.SIZES)
        if free < SLACK_PAGES or free * 4 < pages:
            await offload(reserve.make_reserve, self._path)
            return False
        begin = clock.monotonic_s()
        with _translated(self._path):
            # Not by `execute`: the pragma answers with a row without columns for each page, and sqlite3 stops at the first.
            await self._writer.executescript(f"PRAGMA incremental_vacuum({self._vacuumed_at_once})")
        self._vacuumed_at_once = _next_size(self._vacuumed_at_once, clock.monotonic_s() - begin, budget_s)
        return True


def _next_size(size: int, took_s: float, budget_s: float) -> int:
    """Return how much to do in the next slice, from how long this one took."""
    factor = 2.0 if took_s < budget_s / 2 else 0.5 if took_s > budget_s else 1.0
    return max(8, min(10_000, int(size * factor)))


def _revision(newest_id: int | None) -> Revision:
    return Revision(FIRST_REVISION if newest_id is None else newest_id >> POSITION_BITS)


def _kv(key: bytes, row_id: int, created: int, version: int, lease: int, value: bytes) -> KeyValue:
    return KeyValue(key, value, Revision(created), Revision(row_id >> POSITION_BITS), version, LeaseId(lease))


def _event(row: sqlite3.Row) -> Event:
    key, previous_id = row[0], row[6]
    previous = None if previous_id is None else _kv(key, previous_id, *row[7:])
    return Event(EventType.PUT if row[3] else EventType.DELETE, _kv(*row[:6]), previous)


def _log_rows(events: Sequence[Event]) -> list[tuple[Value, ...]]:
    rows: list[tuple[Value, ...]] = []
    position = revision = 0
    for event in events:
        kv = event.kv
        position = position + 1 if kv.mod_revision == revision else 0
        revision = kv.mod_revision
        rows.append(
            (
                first_id(revision) | position,
                kv.key,
                kv.create_revision,
                kv.version,
                kv.lease,
                0 if event.previous is None else event.previous.mod_revision,
                kv.value,
            )
        )
    return rows


def _flat(rows: Iterable[tuple[Value, ...]]) -> list[Value]:
    return [value for row in rows for value in row]


if TYPE_CHECKING:

    def _is_log(log: SqliteLog) -> Log:
        return log

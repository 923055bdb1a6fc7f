"""Opens an SQLite file as a store: the lock, the checks before and after, the settings; and SQLite's result codes as conditions."""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3py.datastore.errors import Corrupt, Locked, NoSpace, Unavailable
from k3py.datastore.sql import migrations
from k3py.datastore.sql.sqlite import migration, run_mark, seal
from k3py.datastore.sql.sqlite.replacement import finish_replacement
from k3py.util.lock_file import AlreadyLocked, FileLock
from k3py.util.offload import offload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import aiosqlite

    from k3py.datastore.durability import Durability
    from k3py.datastore.sql.sqlite.run_mark import Finding, Observed, RunMark

log = logging.getLogger(__name__)

APPLICATION_ID = 0x6B337079  # "k3py"
PAGE_BYTES = 1024
"""Of a new database. A change rewrites whole pages: small ones are what memory cards and slow disks want."""

PAGE_CACHE_KB = 1_000  # of each of the two connections
FORCED_CHECKPOINT_BYTES = 64 << 20  # the writer does it itself: the other thread cannot follow
WAL_KEPT_BYTES = 16 << 20
CHECKED_BYTES = 32 << 20
"""After an unclean stop a database up to this size is checked at opening (about 0.1 s); a larger one only where it is read."""


@dataclass(slots=True)
class OwnFile:
    """A database file that this process has to itself. unclean: SQLite should check it."""

    path: Path
    lock: FileLock
    unclean: bool
    observed: Observed
    mark: RunMark | None = None

    @classmethod
    def take(cls, path: Path) -> OwnFile:
        """Lock the database, making it if it is missing, and look at it before anything opens it. Blocking.

        Raises:
            Locked, Corrupt, Unavailable: as `open_sqlite`.
        """
        lock = _lock(path)
        try:
            if seal.is_broken(path):
                raise damaged(path, "its bytes changed since k3py closed it")
            unclean = _left_open(path) or seal.was_rewritten(path)
            seal.unseal(path)
            return cls(path, lock, unclean, run_mark.observe(path))
        except OSError as error:
            lock.release()
            raise Unavailable(f"cannot open the database {path}: {error.strerror or error}") from error
        except Corrupt:
            lock.release()
            raise

    def release(self) -> None:
        """Give the closed database back, with what lets the next opening see that it is unchanged. Blocking."""
        try:
            seal.seal(self.path)
            if self.mark is not None:
                run_mark.note_closed(self.path, self.mark)
        except OSError as error:
            log.warning("cannot write the checksum of the database", extra={"error": str(error)})
        finally:
            self.lock.release()

    async def begin_run(self, writer: aiosqlite.Connection, durability: Durability) -> Finding:
        """Write who has the database open now; return what may be wrong with it (see `run_mark`)."""
        (before,) = await one(writer, "SELECT number FROM run")
        finding = self.observed.judge(before)
        run = secrets.randbits(62) + 1
        try:
            mark = await offload(run_mark.begin_run, self.path, run, before, durability)
            with translated(self.path):
                await writer.execute_fetchall("UPDATE run SET number = ?", (run,))
            self.mark = await offload(run_mark.note_begun, self.path, mark)
        except (OSError, NoSpace) as error:
            # A full disk: reads must go on.
            log.warning("cannot write the mark of the database", extra={"error": str(error)})
        return finding


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


async def configure(connection: aiosqlite.Connection, *pragmas: str) -> None:
    """Set what all connections have in common, and `pragmas`."""
    for pragma in (f"cache_size = -{PAGE_CACHE_KB}", "trusted_schema = OFF", *pragmas):
        await connection.execute_fetchall(f"PRAGMA {pragma}")


async def configure_writer(writer: aiosqlite.Connection, durability: Durability) -> None:
    """Go over to a mode of durability."""
    await configure(writer, f"synchronous = {'NORMAL' if durability.effort.sync_s else 'FULL'}")


async def prepare(writer: aiosqlite.Connection, path: Path, *, unclean: bool) -> None:
    """Bring a new, an older or an uncleanly closed database to where it can be used; still fully durable."""
    (empty,) = await one(writer, "SELECT count(*) = 0 FROM sqlite_schema")
    (application_id,) = await one(writer, "PRAGMA application_id")
    (version,) = await one(writer, "PRAGMA user_version")
    if not empty and application_id != APPLICATION_ID:
        raise Corrupt(f"{path} is an SQLite database, but not one of k3py: move it away or name another file")
    if version > len(migrations.SQLITE):
        raise Unavailable(migration.too_new(path, version))
    if empty:
        await configure(
            writer,
            f"page_size = {PAGE_BYTES}",
            "auto_vacuum = INCREMENTAL",
            f"application_id = {APPLICATION_ID}",
        )
    (mode,) = await one(writer, "PRAGMA journal_mode = WAL")
    if mode != "wal":
        raise Unavailable(f"the file system of {path} does not support SQLite's write-ahead log")
    (page_bytes,) = await one(writer, "PRAGMA page_size")
    await configure(
        writer,
        "synchronous = FULL",
        f"wal_autocheckpoint = {FORCED_CHECKPOINT_BYTES // page_bytes}",
        f"journal_size_limit = {WAL_KEPT_BYTES}",
    )
    await migration.migrate(writer, path, version, empty=bool(empty))
    if unclean:
        (answer,) = await one(writer, "PRAGMA quick_check(1)")
        if answer != "ok":
            raise damaged(path, str(answer))


def _left_open(path: Path) -> bool:
    wal = path.with_name(path.name + "-wal")
    try:
        return wal.stat().st_size > 0 and path.stat().st_size <= CHECKED_BYTES
    except FileNotFoundError:
        return False


async def one(connection: aiosqlite.Connection, sql: str) -> sqlite3.Row:
    """Return the only row."""
    (row,) = await connection.execute_fetchall(sql)
    return row


def damaged(path: Path, finding: str) -> Corrupt:
    """Return the error that names a damaged file and the way back."""
    finding = " ".join(finding.split())  # SQLite's may have several lines; a command's error has one
    return Corrupt(
        f"the database {path} is damaged ({finding}). Keep a copy of {path}*, then restore a snapshot (see `k3py etcd-snapshot ls`): "
        "k3py server --cluster-reset --cluster-reset-restore-path=FILE; "
        f"without one try: sqlite3 {path} .recover | sqlite3 {path}.recovered"
    )


_FULL = {sqlite3.SQLITE_FULL}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's result codes into conditions."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        if code in _DAMAGED:
            raise damaged(path, name) from error
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

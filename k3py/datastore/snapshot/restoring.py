"""Puts a snapshot back: built and checked beside the store, then moved into its place; the old one is kept (D-30)."""

from __future__ import annotations

import gzip
import os
import shutil
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.datastore.drivers.sqlite import open_sqlite
from k3py.datastore.errors import Locked
from k3py.datastore.interface import Revision
from k3py.datastore.snapshot.errors import SnapshotError
from k3py.datastore.snapshot.sqlite_copy import MAGIC, adopt_copy, forget_run, last_revision
from k3py.datastore.sql.sqlite.replacement import finish_replacement, new_file
from k3py.datastore.transfer import dump_file
from k3py.datastore.transfer.dump_file import DumpFile
from k3py.datastore.transfer.loading import MARGIN, load
from k3py.datastore.transfer.source import read_backend
from k3py.util.files import sync_folder
from k3py.util.lock_file import AlreadyLocked, FileLock
from k3py.util.offload import offload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from k3py.datastore.interface import Backend

_GZIP: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Restored:
    """What is in the store now; `kept`: the folder with the old database, None if there was none."""

    revision: int
    count: int
    hash: str
    kept: Path | None = None


async def restore_database(snapshot: Path, database: Path) -> Restored:
    """Make `snapshot` (a copy of a database or a dump) the content of an SQLite store that nobody has open.

    Raises:
        SnapshotError: the snapshot cannot be used, or the store's folder not written; the store is unchanged.
        Locked: somebody has the store open.
    """
    database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with FileLock.acquire(database.with_name(f"{database.name}.lock")), _work_file(database) as work:
            await offload(finish_replacement, database)
            floor = await offload(last_revision, database)
            kind = await offload(_unpack, snapshot, work)
            if kind == MAGIC:
                content = await offload(adopt_copy, work, str(snapshot), floor=floor, margin=MARGIN)
                restored = Restored(content.revision, content.count, content.hash)
            else:
                restored = await _load_dump(snapshot, work, floor=floor)
            kept = await offload(_install, work, database)
            return Restored(restored.revision, restored.count, restored.hash, kept)
    except AlreadyLocked as error:
        raise Locked(
            f"the database {database} is in use by process {error.pid or 'unknown'}: stop it first"
        ) from error
    except OSError as error:
        raise SnapshotError(f"cannot restore into {database.parent}: {error.strerror or error}") from error


async def restore_backend(snapshot: Path, target: Backend, *, name: str, work: Path) -> Restored:
    """Write `snapshot` into an empty store of another driver; `work`: a folder for a temporary copy.

    Raises:
        NotEmpty: the target holds keys.
        SnapshotError, TransferError: the snapshot cannot be used.
    """
    database = work / "snapshot.db"
    try:
        with _work_file(database) as copy:
            if await offload(_unpack, snapshot, copy) == MAGIC:
                await offload(adopt_copy, copy, str(snapshot), floor=0, margin=1)
                async with open_sqlite(copy, history_s=None) as source:
                    digest = await load(await read_backend(source), target, name=name)
            else:
                with snapshot.open("rb") as file:
                    digest = await load(await offload(DumpFile, file, str(snapshot)), target, name=name)
    except OSError as error:
        raise SnapshotError(f"{snapshot}: {error.strerror or error}") from error
    return Restored(target.current_revision, digest.count, digest.hex)


@contextmanager
def _work_file(database: Path) -> Iterator[Path]:
    remove_remains(database)
    try:
        yield database.with_name(f"{database.name}.restoring")
    finally:
        remove_remains(database)


def remove_remains(database: Path) -> None:
    """Remove what a killed restore left beside a database. Blocking."""
    work = database.with_name(f"{database.name}.restoring")
    for suffix in ("", "-wal", "-shm", "-journal", "-reserve", ".lock", ".sum", ".run"):
        work.with_name(f"{work.name}{suffix}").unlink(missing_ok=True)


def _unpack(snapshot: Path, work: Path) -> bytes:
    """Write a copy of a database out to `work`; return the first bytes, which tell what the snapshot is."""
    try:
        with snapshot.open("rb") as raw:
            packed = raw.read(2) == _GZIP
            raw.seek(0)
            stream = gzip.GzipFile(fileobj=raw, mode="rb") if packed else raw
            kind = stream.read(16)
            if kind == MAGIC:
                descriptor = os.open(work, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                with os.fdopen(descriptor, "wb") as target:
                    target.write(kind)
                    shutil.copyfileobj(stream, target, 1 << 20)
            elif not kind.startswith(dump_file.MAGIC):
                raise SnapshotError(f"{snapshot} is no snapshot of k3py")
            return kind
    except FileNotFoundError:
        raise SnapshotError(f"{snapshot}: no such file; see `k3py etcd-snapshot ls`") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise SnapshotError(f"{snapshot} is damaged: {error}") from error


async def _load_dump(snapshot: Path, work: Path, *, floor: int) -> Restored:
    with snapshot.open("rb") as file:
        source = await offload(DumpFile, file, str(snapshot))
        async with open_sqlite(work, history_s=None) as target:
            if floor:
                await target.advance(Revision(floor + MARGIN))
            digest = await load(source, target, name=str(work))
            revision = target.current_revision
    return Restored(revision, digest.count, digest.hex)


def _install(work: Path, database: Path) -> Path | None:
    forget_run(work)
    with work.open("rb+") as file:
        os.fsync(file.fileno())
    had_one = database.exists()
    work.rename(new_file(database))
    sync_folder(database.parent)
    kept = finish_replacement(database)
    return kept if had_one else None

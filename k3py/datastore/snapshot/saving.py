"""Makes a snapshot: of SQLite a checked copy of the database, of other drivers a dump at one revision; complete or not at all."""

from __future__ import annotations

import gzip
import os
import shutil
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from k3py.datastore.snapshot.errors import SnapshotError
from k3py.datastore.snapshot.folder import Snapshot, SnapshotFolder, base_of
from k3py.datastore.snapshot.sqlite_copy import copy_database
from k3py.datastore.transfer.dump_file import write_dump
from k3py.datastore.transfer.source import read_backend
from k3py.util import clock
from k3py.util.files import sync_folder
from k3py.util.offload import offload

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.datastore.interface import Backend

_LEVEL: Final = 4
_SPARE_BYTES: Final = 16 << 20
"""A snapshot leaves at least so much of the disk to the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSettings:
    """Where snapshots go and how they are named; `keep` 0: none is removed."""

    folder: Path
    name: str
    node_name: str
    compress: bool = True
    keep: int = 5

    @property
    def base(self) -> str:
        """What the names of these snapshots begin with."""
        return base_of(self.name, self.node_name)


async def save_database(settings: SnapshotSettings, database: Path) -> Snapshot:
    """Make a snapshot of an SQLite store, open or not.

    Raises:
        SnapshotError: see `copy_database`; also no space.
    """
    return await offload(_save_database, settings, database)


def _save_database(settings: SnapshotSettings, database: Path) -> Snapshot:
    folder = SnapshotFolder(settings.folder)
    with folder.working() as work:
        try:
            _check_space(settings.folder, database)
            copy_database(database, work)
            final = _compress(work) if settings.compress else work
            return _publish(folder, final, settings, compressed=settings.compress)
        except OSError as error:
            raise SnapshotError(
                f"cannot write a snapshot to {settings.folder}: {error.strerror or error}"
            ) from error


async def save_backend(settings: SnapshotSettings, backend: Backend) -> Snapshot:
    """Make a snapshot of any open store: a dump at its present revision (always compressed).

    Raises:
        SnapshotError: it cannot be written.
        DatastoreError: the store cannot be read.
    """
    folder = SnapshotFolder(settings.folder)
    with folder.working() as work:
        try:
            with create_private(work) as file:
                await write_dump(await read_backend(backend), file)
            return await offload(_publish, folder, work, settings, compressed=True)
        except OSError as error:
            raise SnapshotError(
                f"cannot write a snapshot to {settings.folder}: {error.strerror or error}"
            ) from error


def _check_space(folder: Path, database: Path) -> None:
    """Refuse what could fill the disk: the copy, and beside it for a moment its packed form."""
    if not database.is_file():
        return  # `copy_database` says so
    wal = database.with_name(f"{database.name}-wal")
    size = database.stat().st_size + (wal.stat().st_size if wal.exists() else 0)
    free = shutil.disk_usage(folder).free
    if free < 2 * size + _SPARE_BYTES:
        raise SnapshotError(
            f"a snapshot in {folder} could fill the disk: {free >> 20} MB are free, {(2 * size + _SPARE_BYTES) >> 20} MB are wanted; "
            "remove something, or name another folder (--etcd-snapshot-dir)"
        )


def _compress(work: Path) -> Path:
    packed = work.with_name(f"{work.name}.gz")
    with work.open("rb") as source, create_private(packed) as target, compressing(target) as stream:
        shutil.copyfileobj(source, stream, 1 << 20)
    work.unlink()
    return packed


def compressing(target: IO[bytes]) -> gzip.GzipFile:
    """Return a stream that packs into `target`; the same content gives the same file."""
    return gzip.GzipFile(fileobj=target, mode="wb", compresslevel=_LEVEL, mtime=0)


def create_private(path: Path) -> IO[bytes]:
    """Create a file of mode 0600 that must not exist. Raises OSError."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def _publish(folder: SnapshotFolder, work: Path, settings: SnapshotSettings, *, compressed: bool) -> Snapshot:
    with work.open("rb+") as file:
        os.fsync(file.fileno())
    taken_s = int(clock.wall_s())
    while True:
        final = folder.path / f"{settings.base}-{taken_s}{'.gz' if compressed else ''}"
        if not final.exists():
            break
        taken_s += 1
    work.rename(final)
    sync_folder(folder.path)
    return next(one for one in folder.snapshots() if one.path == final)

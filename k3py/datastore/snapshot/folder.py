"""The folder of snapshots: `<name>-<node>-<unix seconds>[.gz]`, mode 0600, complete or not there (D-20, C-81 to C-83)."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from k3py.datastore.snapshot.errors import SnapshotError
from k3py.util.files import sync_folder
from k3py.util.lock_file import AlreadyLocked, FileLock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_NAME: Final = re.compile(r"(?P<base>.+)-(?P<taken_s>\d{9,})(?:\.gz)?")
_WORK: Final = ".work-"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A file in the folder; `created` is UTC, from the file's time; `size_bytes` as it lies on the disk."""

    name: str
    path: Path
    size_bytes: int
    created: datetime


class SnapshotFolder:
    """Blocking; a few files."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def snapshots(self) -> list[Snapshot]:
        """Return the snapshots, oldest first; an empty list when there is no folder."""
        found = []
        try:
            entries = list(os.scandir(self.path))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise SnapshotError(f"{self.path}: {error.strerror}") from error
        for entry in entries:
            if is_snapshot_name(entry.name) and entry.is_file():
                stat = entry.stat()
                created = datetime.fromtimestamp(int(stat.st_mtime), tz=UTC)
                found.append(Snapshot(entry.name, self.path / entry.name, stat.st_size, created))
        return sorted(found, key=lambda one: (_taken_s(one.name), one.name))

    def delete(self, name: str) -> None:
        """Remove a snapshot. Raises SnapshotError: there is none of this name."""
        if "/" in name or not _NAME.fullmatch(name):
            raise SnapshotError(f"{name!r} is no name of a snapshot; see `k3py etcd-snapshot ls`")
        try:
            (self.path / name).unlink()
            sync_folder(self.path)
        except FileNotFoundError:
            raise SnapshotError(f"no snapshot {name!r} in {self.path}; see `k3py etcd-snapshot ls`") from None
        except OSError as error:
            raise SnapshotError(f"{self.path / name}: {error.strerror}") from error

    def prune(self, base: str, keep: int) -> list[str]:
        """Remove all but the newest `keep` snapshots of `base` (`<name>-<node>`); return the names of the removed ones."""
        old = outdated([one.name for one in self.snapshots()], base, keep)
        for name in old:
            self.delete(name)
        return old

    @contextmanager
    def working(self) -> Iterator[Path]:
        """Give a place for unfinished files, to one process at a time; what is left in it is removed, also after a kill.

        Raises:
            SnapshotError: another snapshot is being made, or the folder cannot be written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FileLock.acquire(self.path / ".lock")
        except AlreadyLocked as error:
            raise SnapshotError(
                f"process {error.pid or 'unknown'} is just making a snapshot in {self.path}"
            ) from error
        except OSError as error:
            raise SnapshotError(f"{self.path}: cannot be written: {error.strerror}") from error
        with lock:
            self._clean()
            try:
                yield self.path / f"{_WORK}{os.getpid()}"
            finally:
                self._clean()

    def _clean(self) -> None:
        for left in self.path.glob(f"{_WORK}*"):
            left.unlink(missing_ok=True)


def base_of(name: str, node_name: str) -> str:
    """Return what all snapshots of a kind and node begin with."""
    return f"{name}-{node_name}"


def is_snapshot_name(name: str) -> bool:
    """Say whether a file or object of this name is a snapshot."""
    return "/" not in name and not name.startswith(".") and _NAME.fullmatch(name) is not None


def outdated(names: Iterable[str], base: str, keep: int) -> list[str]:
    """Return the names of all but the newest `keep` snapshots of `base`, oldest first."""
    mine = sorted((name for name in names if _base(name) == base), key=lambda name: (_taken_s(name), name))
    return mine[: max(0, len(mine) - keep)]


def _base(name: str) -> str:
    match = _NAME.fullmatch(name)
    return match["base"] if match else ""


def _taken_s(name: str) -> int:
    match = _NAME.fullmatch(name)
    return int(match["taken_s"]) if match else 0

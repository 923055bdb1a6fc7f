"""Copies of an SQLite store that carry their own proof: a table `snapshot` with revision, key count and hash.

Blocking: call it through `offload`. Reading the database here is safe while a server writes to it, in this process or another: it is one
read transaction through SQLite, which sees the last commit and holds up nobody. (Never open the file by other means inside the server:
closing it would drop SQLite's locks.)
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.datastore.snapshot.errors import SnapshotError
from k3py.datastore.sql.statements import POSITION_BITS, first_id
from k3py.datastore.transfer.digest import Digest

if TYPE_CHECKING:
    from pathlib import Path

MAGIC: Final = b"SQLite format 3\0"
APPLICATION_ID: Final = 0x6B337079
_ROWS: Final = "SELECT cur.key, log.value FROM cur CROSS JOIN log ON log.id = cur.id ORDER BY cur.key"


@dataclass(frozen=True, slots=True)
class Content:
    """What a database holds."""

    revision: int
    count: int
    hash: str


def copy_database(source: Path, target: Path) -> Content:
    """Copy `source` into the new file `target` (0600, not synced) as of its last commit, and check the copy.

    Raises:
        SnapshotError: there is no database, it is damaged, or the copy cannot be written.
    """
    if not source.is_file():
        raise SnapshotError(f"there is no database {source} to make a snapshot of")
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with closing(_connect(source, read_only=True)) as origin, closing(_connect(target)) as copy:
            _check_ours(origin, source)
            origin.backup(copy)
            copy.execute("PRAGMA synchronous = OFF")
            copy.execute("PRAGMA journal_mode = DELETE")
            _check_integrity(copy, source)
            content = read_content(copy)
            copy.execute("CREATE TABLE snapshot (revision INTEGER, count INTEGER, hash TEXT) STRICT")
            copy.execute(
                "INSERT INTO snapshot VALUES (?, ?, ?)", (content.revision, content.count, content.hash)
            )
            return content
    except sqlite3.Error as error:
        raise SnapshotError(f"cannot copy the database {source}: {error}") from error


def adopt_copy(path: Path, name: str, *, floor: int, margin: int) -> Content:
    """Check a copy and make it a database whose revisions begin `margin` above its own and above `floor`.

    Raises:
        SnapshotError: it is not what was copied; names `name`.
    """
    try:
        with closing(_connect(path)) as copy:
            _check_ours(copy, name)
            _check_integrity(copy, name)
            found = read_content(copy)
            if copy.execute("SELECT 1 FROM sqlite_schema WHERE name = 'snapshot'").fetchone():
                promised = Content(*copy.execute("SELECT revision, count, hash FROM snapshot").fetchone())
                if promised != found:
                    raise SnapshotError(
                        f"{name} is damaged: it promises {promised.count} keys, hash {promised.hash}, and holds {found.count}, "
                        f"hash {found.hash}"
                    )
            revision = max(found.revision, floor) + margin
            copy.execute("PRAGMA synchronous = FULL")
            copy.execute("BEGIN IMMEDIATE")
            copy.execute("DROP TABLE IF EXISTS snapshot")
            # The same mark as `MvccBackend.advance`: watchers and lists from before start anew.
            copy.execute("INSERT INTO log VALUES (?, x'', 0, 0, 0, 0, x'')", (first_id(revision),))
            copy.execute("UPDATE meta SET compact_revision = ?", (revision,))
            copy.execute("COMMIT")
            return Content(revision, found.count, found.hash)
    except (sqlite3.Error, TypeError) as error:
        raise SnapshotError(f"{name} cannot be used: {error}") from error


def forget_run(path: Path) -> None:
    """Let a database begin anew where it will be put: its revisions were raised already (`sql.sqlite.run_mark`). Raises SnapshotError."""
    try:
        with closing(_connect(path)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'run'").fetchone():
                connection.execute("UPDATE run SET number = 0")
    except sqlite3.Error as error:
        raise SnapshotError(f"{path} cannot be written: {error}") from error


def read_content(connection: sqlite3.Connection) -> Content:
    """Read revision, count and hash."""
    (newest,) = connection.execute("SELECT max(id) FROM log").fetchone()
    digest = Digest()
    for key, value in connection.execute(_ROWS):
        digest.add(key, value)
    return Content((newest or 0) >> POSITION_BITS or 1, digest.count, digest.hex)


def last_revision(path: Path) -> int:
    """Return the revision a database has come to, 0 when that cannot be read any more."""
    try:
        with closing(_connect(path, read_only=True)) as connection:
            (newest,) = connection.execute("SELECT max(id) FROM log").fetchone()
    except sqlite3.Error:
        return 0
    return (newest or 0) >> POSITION_BITS


def _connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    mode = "ro" if read_only else "rw"
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)


def _check_ours(connection: sqlite3.Connection, name: Path | str) -> None:
    if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
        raise SnapshotError(f"{name} is an SQLite database, but not one of k3py")


def _check_integrity(connection: sqlite3.Connection, name: Path | str) -> None:
    (answer,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if answer != "ok":
        raise SnapshotError(f"{name} is damaged: {answer}; restore an earlier snapshot")

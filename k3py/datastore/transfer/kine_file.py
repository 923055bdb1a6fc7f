"""Reads the SQLite file of a K3s server or a Kine (table `kine`), read-only; stop that server first for its last writes.

The row with the highest id of a name is its present state; `lease` is a time to live in seconds; Kine's own bookkeeping is left out.
Source: kine pkg/drivers/generic, table of kine v0.13 (spec/datastore.md §3.1).
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from k3py.datastore.interface import KeyValue, LeaseId, Revision
from k3py.datastore.transfer.errors import TransferError
from k3py.datastore.transfer.source import SourceInfo
from k3py.util.offload import offload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

_PAGE_KEYS = 200
_NOT_KEYS = frozenset((b"compact_rev_key", b"compact_rev_key_apiserver"))
_LIVE = (
    "SELECT CAST(k.name AS BLOB), k.value, k.lease, k.id, k.create_revision, k.created, k.deleted FROM "
    "(SELECT max(id) AS id FROM kine WHERE name > ? GROUP BY name ORDER BY name LIMIT ?) AS newest "
    "JOIN kine AS k ON k.id = newest.id ORDER BY k.name"
)


@contextmanager
def open_read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """Open an SQLite file without changing it; usable from any one thread at a time.

    Raises:
        TransferError: there is no such file.
    """
    if not path.is_file():
        raise TransferError(f"{path}: no such file")
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        yield connection
    finally:
        connection.close()


def is_kine_file(path: Path) -> bool:
    """Say whether an SQLite file holds Kine's table. Raises TransferError when it cannot be read."""
    try:
        with open_read_only(path) as connection:
            found = connection.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'kine'")
            return found.fetchone() is not None
    except sqlite3.Error as error:
        raise TransferError(f"{path} cannot be read: {error}") from error


class KineFile:
    """See `Source`; `connection` is open on the file `path`, in one read transaction from the beginning."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        try:
            connection.execute("BEGIN")
            (revision,) = connection.execute("SELECT max(id) FROM kine").fetchone()
            ttls = connection.execute("SELECT DISTINCT lease FROM kine WHERE lease > 0").fetchall()
        except sqlite3.Error as error:
            raise self._unreadable(error) from error
        self.info = SourceInfo("kine", revision or 1, {ttl: ttl for (ttl,) in ttls})

    async def pages(self) -> AsyncIterator[Sequence[KeyValue]]:
        """See `Source`."""
        after = ""
        while True:
            try:
                rows = await offload(self._fetch, after)
            except sqlite3.Error as error:
                raise self._unreadable(error) from error
            if not rows:
                return
            page = [_kv(*row[:6]) for row in rows if not row[6] and row[0] not in _NOT_KEYS]
            if page:
                yield page
            after = rows[-1][0].decode()

    def _fetch(self, after: str) -> list[tuple[bytes, bytes, int, int, int, int, int]]:
        return self._connection.execute(_LIVE, (after, _PAGE_KEYS)).fetchall()

    def _unreadable(self, error: Exception) -> TransferError:
        return TransferError(f"{self._path} cannot be read as a file of Kine: {error}")


def _kv(name: bytes, value: bytes | None, ttl: int | None, row: int, created: int, is_new: int) -> KeyValue:
    return KeyValue(
        name, value or b"", Revision(row if is_new else created), Revision(row), 1, LeaseId(ttl or 0)
    )

"""A checksum beside a cleanly closed database, `<name>.sum`: what happens to the file while nobody has it open is found at opening.

SQLite has no checksums of its own: it notices a damaged page only when the page makes no sense. Limits: a database larger than
`SEALED_BYTES` is not sealed (reading it would delay the start), nor one that was not closed; a file whose size or time of change differ
was written on purpose, and is checked by SQLite's own means instead. Blocking; only while this process has no connection to the file
(closing it would drop SQLite's locks).
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Final

from k3py.util.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

SEALED_BYTES: Final = 64 << 20
_CHUNK: Final = 1 << 20


def seal(database: Path) -> None:
    """Write the checksum of a closed database, if it is small and really closed. Raises OSError."""
    if _left_open(database):
        return
    size, changed_ns = _stat(database)
    if size <= SEALED_BYTES:
        text = f"{size} {changed_ns} {_checksum(database):08x}\n"
        write_atomically(_file(database), text.encode())


def is_broken(database: Path) -> bool:
    """Say whether a sealed database differs from what was sealed. Raises OSError."""
    try:
        size, changed_ns, checksum = _file(database).read_text(encoding="ascii").split()
    except (FileNotFoundError, UnicodeDecodeError, ValueError):
        return False
    if _left_open(database) or f"{size} {changed_ns}" != " ".join(map(str, _stat(database))):
        return False
    return f"{_checksum(database):08x}" != checksum


def was_rewritten(database: Path) -> bool:
    """Say whether a sealed database was written by other means than k3py since. Raises OSError."""
    try:
        size, changed_ns, _ = _file(database).read_text(encoding="ascii").split()
    except (FileNotFoundError, UnicodeDecodeError, ValueError):
        return False
    return f"{size} {changed_ns}" != " ".join(map(str, _stat(database)))


def unseal(database: Path) -> None:
    """Remove the checksum: the database is about to change. Raises OSError."""
    _file(database).unlink(missing_ok=True)


def _file(database: Path) -> Path:
    return database.with_name(f"{database.name}.sum")


def _left_open(database: Path) -> bool:
    wal = database.with_name(f"{database.name}-wal")
    return wal.exists() and wal.stat().st_size > 0


def _stat(database: Path) -> tuple[int, int]:
    stat = database.stat()
    return stat.st_size, stat.st_mtime_ns


def _checksum(database: Path) -> int:
    checksum = 0
    descriptor = os.open(database, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while chunk := os.read(descriptor, _CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    finally:
        os.close(descriptor)
    return checksum

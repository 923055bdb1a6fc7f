"""A file of `RESERVE_BYTES` beside the database that holds space for the way out of a full disk: deletions and compaction.

Without it a store that fills its file system by itself could not be emptied any more. It is not made where it would take more than a
`SHARE`th of what is free. Blocking.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

RESERVE_BYTES: Final = 8 << 20
SHARE: Final = 20


def make_reserve(database: Path) -> None:
    """Hold space if there is plenty and none is held yet; without it things go on."""
    file = _file(database)
    try:
        if file.exists() or shutil.disk_usage(database.parent).free < SHARE * RESERVE_BYTES:
            return
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
        finally:
            os.close(descriptor)
    except OSError:
        file.unlink(missing_ok=True)


def release_reserve(database: Path) -> bool:
    """Give the held space back to the file system; return whether there was some."""
    try:
        _file(database).unlink()
    except OSError:
        return False
    return True


def _file(database: Path) -> Path:
    return database.with_name(f"{database.name}-reserve")

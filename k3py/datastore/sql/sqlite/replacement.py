"""Puts another database in the place of one, so that a kill at any point leaves the old or the new one, never a mixture.

The new file is complete and synced as `<name>.restored` before anything moves. From then on the move is completed: by `replace`, or by
the next opening of the database (`finish_replacement`). The old one and its write-ahead log are kept in `<name>-old-<milliseconds>/`.
Blocking; the caller holds the database's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.util.files import sync_folder

if TYPE_CHECKING:
    from pathlib import Path


def new_file(database: Path) -> Path:
    """Return the name that a finished new database gets."""
    return database.with_name(f"{database.name}.restored")


def finish_replacement(database: Path) -> Path | None:
    """Move a finished new database into place; return where the old one is kept, None if there was nothing to do.

    Raises:
        OSError: as the system reports it; can be repeated.
    """
    new = new_file(database)
    try:
        stamp_ms = new.stat().st_mtime_ns // 1_000_000
    except FileNotFoundError:
        return None
    kept = database.with_name(f"{database.name}-old-{stamp_ms}")
    kept.mkdir(mode=0o700, exist_ok=True)
    # All of it has left before the new file comes: SQLite would apply an old write-ahead log to it.
    for suffix in ("", "-wal", "-shm", ".sum", ".run"):
        old = database.with_name(f"{database.name}{suffix}")
        if old.exists():
            old.rename(kept / old.name)
    sync_folder(kept)
    sync_folder(database.parent)
    new.rename(database)
    sync_folder(database.parent)
    return kept

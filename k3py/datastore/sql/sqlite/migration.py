"""Brings an SQLite database to this version's schema: forward only, each step whole or not at all, with a copy before the first.

The copy is a snapshot (`k3py server --cluster-reset --cluster-reset-restore-path=FILE` takes it), and with it the way back to the
version before.
"""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Final

from k3py.datastore.errors import NoSpace, Unavailable
from k3py.datastore.snapshot.errors import SnapshotError
from k3py.datastore.sql import migrations
from k3py.util.files import sync_folder
from k3py.util.offload import offload

if TYPE_CHECKING:
    from pathlib import Path

    import aiosqlite

_SPARE_BYTES: Final = 8 << 20


def copy_of(database: Path, version: int) -> Path:
    """Return where the copy lies that was made before a database left a schema version."""
    return database.with_name(f"{database.name}-schema-{version}")


def too_new(database: Path, version: int) -> str:
    """Return what to say about a database whose version this k3py does not know: how to go on, and how to go back."""
    known = len(migrations.SQLITE)
    copies = sorted(
        (int(match[1]), path)
        for path in database.parent.glob(f"{database.name}-schema-*")
        if (match := re.fullmatch(r".*-schema-(\d+)", path.name)) and int(match[1]) <= known
    )
    file = str(copies[-1][1]) if copies else "FILE"
    why = (
        "what was written since the upgrade is lost"
        if copies
        else "see `k3py etcd-snapshot ls` for snapshots of this version"
    )
    return (
        f"{database} was written by a newer k3py (schema version {version}, this one knows {known}): install the newer one again, or go back: "
        f"k3py server --cluster-reset --cluster-reset-restore-path={file} ({why})"
    )


async def migrate(writer: aiosqlite.Connection, database: Path, version: int, *, empty: bool) -> None:
    """Run the scripts that lead from `version` to the present one.

    Raises:
        NoSpace: there is no room for the copy; nothing was changed.
        Unavailable: the copy cannot be made; nothing was changed.
    """
    if version < len(migrations.SQLITE) and not empty:
        await offload(back_up, database, version)
    for number, name in enumerate(migrations.SQLITE[version:], start=version + 1):
        script = migrations.script(name)
        await writer.executescript(f"BEGIN IMMEDIATE;{script};PRAGMA user_version = {number};COMMIT")


def back_up(database: Path, version: int) -> Path:
    """Copy a database that is about to be changed; the copy is on the disk when this returns. Blocking. Raises as `migrate`."""
    from k3py.datastore.snapshot.sqlite_copy import copy_database  # noqa: PLC0415 - not needed to start, as a rule

    target = copy_of(database, version)
    work = target.with_name(f"{target.name}.new")
    try:
        work.unlink(missing_ok=True)  # of an upgrade that was interrupted
        wal = database.with_name(f"{database.name}-wal")
        size = database.stat().st_size + (wal.stat().st_size if wal.exists() else 0)
        free = shutil.disk_usage(database.parent).free
        if free < size + _SPARE_BYTES:
            raise NoSpace(
                f"the upgrade of {database} needs room for a copy: {free >> 20} MB are free, {(size + _SPARE_BYTES) >> 20} MB are wanted; "
                "make room, or start the k3py from before again: nothing was changed"
            )
        copy_database(database, work)
        with work.open("rb+") as file:
            os.fsync(file.fileno())
        work.rename(target)
        sync_folder(target.parent)
    except (OSError, SnapshotError) as error:
        raise Unavailable(
            f"cannot copy {database} before its upgrade: {error}; nothing was changed"
        ) from error
    return target

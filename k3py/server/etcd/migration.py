"""Moves the content of an SQLite store into a new managed etcd: `--cluster-init` on a server that began without it (D-09).

A mark lies beside etcd's data until all is there; a start that finds it throws etcd's data away and begins again. SQLite's files stay, as
`state.db.migrated`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from k3py.datastore.factory import name_of, open_backend
from k3py.datastore.transfer.loading import load
from k3py.datastore.transfer.source import read_backend
from k3py.util.files import sync_folder

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.server.etcd.layout import EtcdLayout

log = logging.getLogger(__name__)

_USELESS: Final = ("-reserve", ".lock")
_DONE: Final = ".migrated"


async def migrate_sqlite(database: Path, layout: EtcdLayout) -> None:
    """Copy everything, compare it, and put SQLite's files aside.

    Raises:
        DatastoreError: one of the two fails, or they do not hold the same afterwards.
    """
    endpoint = layout.endpoint
    async with (
        open_backend(f"sqlite://{database}", history_s=None) as source,
        open_backend(endpoint, history_s=None, incomplete=True, tls=layout.tls_files) as target,
    ):
        digest = await load(await read_backend(source), target, name=name_of(endpoint))
    await asyncio.to_thread(_put_aside, database, layout)
    log.info(
        "moved the datastore from SQLite into etcd",
        extra={
            "keys": digest.count,
            "sha256": digest.hex,
            "old": str(database.with_name(database.name + _DONE)),
        },
    )


def _put_aside(database: Path, layout: EtcdLayout) -> None:
    layout.migration_mark.unlink()
    sync_folder(layout.folder)
    for file in list(database.parent.glob(f"{database.name}*")):
        suffix = file.name.removeprefix(database.name)
        if suffix in _USELESS:
            file.unlink()
        elif not suffix.startswith(_DONE):
            file.rename(database.with_name(database.name + _DONE + suffix))
    sync_folder(database.parent)

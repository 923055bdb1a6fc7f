"""`--cluster-reset` of a managed etcd: this server becomes the only member, with its own content or a snapshot's (D-30, D-31).

A mark lies in `server/db` until a snapshot is back completely: a server that finds it does not start, it would begin an empty cluster.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from typing import TYPE_CHECKING

from k3py.datastore.factory import name_of, open_backend
from k3py.datastore.snapshot.restoring import restore_backend
from k3py.errors import K3pyError
from k3py.server.etcd.choice import on_member
from k3py.server.etcd.layout import put_aside
from k3py.server.etcd.membership import open_membership
from k3py.server.etcd.start import run_member
from k3py.server.shared_identity import share_identity
from k3py.util.files import sync_folder, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.config.server import ServerConfig
    from k3py.datastore.snapshot.restoring import Restored
    from k3py.server.etcd.layout import EtcdLayout

log = logging.getLogger(__name__)


async def forget_members(config: ServerConfig, layout: EtcdLayout) -> None:
    """Make this server's member the only one, with the content that it has.

    Raises:
        K3pyError: there is no member here, or it does not start.
    """
    if not layout.has_member:
        raise K3pyError(
            f"--cluster-reset: there is no member of a managed etcd in {layout.folder}: name a snapshot to restore with --cluster-reset-restore-path"
        )
    await asyncio.to_thread(layout.tombstone.unlink, missing_ok=True)
    async with run_member(config, layout, alone=True), open_membership(layout) as membership:
        members = await membership.members()
    if len(members) != 1:
        raise K3pyError(f"etcd has still {len(members)} members; see {layout.log_file}")


async def restore_member(
    config: ServerConfig, layout: EtcdLayout, snapshot: Path
) -> tuple[Restored, Path | None]:
    """Begin a new cluster with the content of a snapshot; authorities and keys are the snapshot's, too.

    Return what was restored, and where the old data is kept.

    Raises:
        SnapshotError: the snapshot cannot be used.
        BadBootstrapData: it is of a cluster with another token.
        K3pyError: etcd does not start.
    """
    if not await asyncio.to_thread(snapshot.is_file):
        raise K3pyError(
            f"--cluster-reset-restore-path: {snapshot}: no such file; see `k3py etcd-snapshot ls`"
        )
    folder = layout.folder.parent
    await asyncio.to_thread(write_atomically, layout.restore_mark, str(snapshot).encode() + b"\n")
    kept = await asyncio.to_thread(put_aside, layout)
    try:
        async with run_member(config, layout, restores=True):
            chosen = on_member(config, layout)
            async with open_backend(
                layout.endpoint, history_s=None, incomplete=True, tls=layout.tls_files
            ) as backend:
                restored = await restore_backend(
                    snapshot, backend, name=name_of(layout.endpoint), work=folder
                )
                await share_identity(chosen, backend, restored=True)
    except BaseException:
        await asyncio.to_thread(_take_back, layout, kept)
        raise
    await asyncio.to_thread(_finish, layout)
    return restored, kept


def _take_back(layout: EtcdLayout, kept: Path | None) -> None:
    """Put the old data back in its place: nothing has happened."""
    tried = put_aside(layout)
    if kept is not None:
        kept.rename(layout.folder)
    if tried is not None:
        shutil.rmtree(tried, ignore_errors=True)
    layout.restore_mark.unlink(missing_ok=True)


def _finish(layout: EtcdLayout) -> None:
    # Of the store as it was before: its revisions went further.
    layout.folder.with_name("known-revision").unlink(missing_ok=True)
    layout.restore_mark.unlink()
    sync_folder(layout.folder.parent)

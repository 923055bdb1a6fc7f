"""Starts this server's member and keeps it running while the server does."""

from __future__ import annotations

import asyncio
import logging
import shutil
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from k3py.datastore.errors import DatastoreError
from k3py.datastore.factory import DATABASE_PATH
from k3py.errors import K3pyError
from k3py.pki.layout import etcd_leaves, pki_paths
from k3py.pki.provision import ensure_authorities, ensure_leaves
from k3py.server.etcd.choice import names_of_member
from k3py.server.etcd.configuration import MemberSettings, read_arguments, render
from k3py.server.etcd.joining import join_cluster, promote_self
from k3py.server.etcd.layout import ensure_member_name, put_aside
from k3py.server.etcd.membership import open_membership
from k3py.server.etcd.migration import migrate_sqlite
from k3py.server.etcd.process import EtcdProcess, MemberRemoved
from k3py.server.etcd.program import find_etcd
from k3py.server.etcd.upkeep import tend
from k3py.util.backoff import Backoff
from k3py.util.files import write_atomically
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from k3py.config.server import ServerConfig
    from k3py.server.etcd.layout import EtcdLayout
    from k3py.server.etcd.membership import Membership

log = logging.getLogger(__name__)

_TOLD_AFTER: Final = 8
"""Attempts to reach the own member before the log says that it is waited for: some ten seconds, an election's time."""


@asynccontextmanager
async def run_member(
    config: ServerConfig, layout: EtcdLayout, *, alone: bool = False, restores: bool = False
) -> AsyncIterator[EtcdLayout]:
    """Run the member; it answers reads and writes when the block is entered.

    Args:
        config: of the server.
        layout: where the member's files are.
        alone: make it the only member of its cluster (`--cluster-reset`).
        restores: begin a cluster for a snapshot.

    Raises:
        MissingProgram, UnfitProgram: there is no etcd that could be used; names what to install.
        ConfigError: --etcd-arg.
        EtcdEnded: it does not start.
        MemberRemoved: it was removed from the cluster, now or before.
        K3pyError: restoring a snapshot did not finish.
    """
    resets = alone or restores
    if not resets and layout.restore_mark.exists():
        raise K3pyError(
            f"restoring a snapshot did not finish (see {layout.restore_mark}): run the server with --cluster-reset --cluster-reset-restore-path again"
        )
    program, version = await find_etcd()
    arguments = read_arguments(config.etcd_arg)
    await asyncio.to_thread(_discard_half_migrated, layout)
    if not resets:
        await asyncio.to_thread(put_aside_removed, layout, joins=bool(config.server))
    name = await asyncio.to_thread(ensure_member_name, layout, config.node_name)
    await asyncio.to_thread(_provide_certificates, config)
    settings = MemberSettings(
        layout=layout,
        name=name,
        address=config.node_ip,
        version=version,
        others={},
        alone=alone,
        expose_metrics=config.etcd_expose_metrics,
        debug=config.debug,
        arguments=arguments,
    )
    joins = bool(config.server) and not layout.has_member and not resets
    if joins:
        others = await join_cluster(config, layout, name, settings.peer_url)
        settings = replace(settings, others=others, joins=True)
    database = config.data_dir / "server" / DATABASE_PATH
    migrates = not layout.has_member and not joins and not resets and await asyncio.to_thread(database.exists)
    if not layout.has_member and not joins:
        await asyncio.to_thread(layout.alone_mark.touch)
    settings = replace(settings, is_alone=layout.alone_mark.exists())
    process = EtcdProcess(layout, program)
    await process.prepare()
    if migrates:
        await asyncio.to_thread(write_atomically, layout.migration_mark, b"")
    await asyncio.to_thread(write_atomically, layout.config_file, render(settings))
    async with TaskScope() as scope:
        _ = scope.spawn(process.keep(), name="etcd")
        await _wait_until_serving(layout)
        process.note_ready()
        log.info("etcd runs", extra={"member": name, "version": ".".join(map(str, version))})
        await tend(layout, settings.peer_url)
        if migrates:
            await migrate_sqlite(database, layout)
        try:
            yield layout
        finally:
            scope.cancel()


def put_aside_removed(layout: EtcdLayout, *, joins: bool) -> None:
    """Keep the data of a member that was removed from its cluster beside, so that this server joins anew (J-82). Blocking.

    Raises:
        MemberRemoved: it does not join: it would begin another cluster with the same authorities.
    """
    if not layout.tombstone.exists():
        return
    if not joins:
        raise MemberRemoved(
            f"this server's etcd member was removed from the cluster (see {layout.tombstone}): start it with --server URL of another server to have "
            f"it join again, or remove {layout.folder} to begin a new cluster"
        )
    kept = put_aside(layout)
    log.warning(
        "this server's etcd member was removed from the cluster: joining again", extra={"old": str(kept)}
    )


def _provide_certificates(config: ServerConfig) -> None:
    paths = pki_paths(config.data_dir)
    ensure_leaves(ensure_authorities(paths), etcd_leaves(paths, names=names_of_member(config)))


def _discard_half_migrated(layout: EtcdLayout) -> None:
    """Begin again when a copying of SQLite's content was interrupted: SQLite still has everything."""
    if layout.migration_mark.exists():
        shutil.rmtree(layout.folder / "member", ignore_errors=True)
        layout.migration_mark.unlink()


async def _wait_until_serving(layout: EtcdLayout) -> None:
    pauses = Backoff(first_s=0.05, cap_s=1.0)
    async with open_membership(layout) as membership:
        while True:
            try:
                await membership.check_serving()
            except DatastoreError as error:
                if not await _is_learner(membership, layout) and pauses.attempts == _TOLD_AFTER:
                    log.warning(
                        "waiting for etcd: most of its members must run and reach each other",
                        extra={"error": str(error), "log": str(layout.log_file)},
                    )
            else:
                return
            await asyncio.sleep(pauses.next_s())


async def _is_learner(membership: Membership, layout: EtcdLayout) -> bool:
    """Say whether the member had no vote, and has got it just now."""
    try:
        status = await membership.status()
    except DatastoreError:
        return False
    return bool(status["isLearner"]) and await promote_self(layout, status["header"]["member_id"])

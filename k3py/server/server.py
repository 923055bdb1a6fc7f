"""The composition root of `k3py server`: makes the parts, joins them, starts and stops them in order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import TYPE_CHECKING

from k3py.datastore.control import control_of
from k3py.datastore.durability import Durability
from k3py.datastore.factory import open_backend
from k3py.datastore.tls_files import TlsFiles
from k3py.errors import K3pyError
from k3py.network.own_address import AddressWatch
from k3py.runtime.bundle import tree_cleaning
from k3py.server.addons import build_addons
from k3py.server.admin_kubeconfig import publish_admin_kubeconfig
from k3py.server.cluster_reset import clear_reset_flag, was_reset
from k3py.server.control_plane import build_control_plane
from k3py.server.etcd.choice import chosen_datastore
from k3py.server.health import add_checks
from k3py.server.identity import prepare_identity
from k3py.server.joining import join_servers
from k3py.server.living_servers import LivingServers
from k3py.server.metrics import add_storage_metrics
from k3py.server.own_address import ServerAddress, find_own
from k3py.server.peers import build_peers, check_peers
from k3py.server.secrets_encryption.start import start_encryption
from k3py.server.shared_identity import share_identity
from k3py.server.snapshots import scheduled_snapshots
from k3py.storage.factory import open_storage
from k3py.util.data_dir import hold_data_dir
from k3py.util.garbage import spare_started
from k3py.util.supervisor import Supervisor
from k3py.version import GIT_VERSION

if TYPE_CHECKING:
    from k3py.config.server import ServerConfig
    from k3py.datastore.interface import Backend
    from k3py.util.supervise import Component

log = logging.getLogger(__name__)


async def run_server(config: ServerConfig) -> int:
    """Run a server until it is told to stop; returns the exit code.

    Raises:
        K3pyError: what keeps it from starting, or ended it.
    """
    if not config.disable_agent and os.geteuid() != 0:
        raise K3pyError("k3py server must run as root, or with --disable-agent")
    log.info(
        "starting", extra={"version": GIT_VERSION, "node": config.node_name, "data_dir": str(config.data_dir)}
    )
    with hold_data_dir(config.data_dir):
        await join_servers(config)
        async with (
            chosen_datastore(config) as config,
            open_backend(
                config.datastore_endpoint,
                data_dir=config.data_dir / "server",
                tls=TlsFiles(config.datastore_cafile, config.datastore_certfile, config.datastore_keyfile),
                durability=Durability(config.datastore_durability),
                wait=True,
                witness=config.data_dir / "server/db/known-revision",
            ) as backend,
            control_of(backend, config.datastore_endpoint, config.data_dir / "server"),
        ):
            await _serve(config, backend)
    log.info("stopped")
    return 0


async def _serve(config: ServerConfig, backend: Backend) -> None:
    """Run everything above an open datastore until a signal ends it. Raises K3pyError."""
    shared = await share_identity(config, backend, restored=was_reset(config))
    if config.shares_datastore:
        await check_peers(config, backend, shared.password)
    await asyncio.to_thread(clear_reset_flag, config)
    identity = await asyncio.to_thread(prepare_identity, config, shared.password)
    encryption = await asyncio.to_thread(start_encryption, config)
    async with open_storage(backend, transformers=encryption.at_rest) as storage:

        async def publish(port: int) -> None:
            await asyncio.to_thread(publish_admin_kubeconfig, config, identity, port)

        plane = await build_control_plane(
            config, identity, storage, encryption=encryption, shared=shared, backend=backend, publish=publish
        )
        add_storage_metrics(plane.metrics, storage, plane.kinds, backend)
        components: list[Component] = [*plane.components]
        advertise = [plane.assembly.advertise]
        if config.shares_datastore:
            peers = build_peers(config, backend, plane, shared)
            components += peers
            advertise = [one.move for one in peers if isinstance(one, LivingServers)]
        own = find_own(config)
        if not config.disable_agent:
            from k3py.server.node import build_node  # noqa: PLC0415 - a server without a node needs none of it

            components += build_node(config, identity, plane, own)
            if config.shares_datastore:
                from k3py.server.peer_tunnels import build_peer_tunnels  # noqa: PLC0415 - only where there are others

                components += await asyncio.to_thread(build_peer_tunnels, config, identity, plane, own)
        elif own.follows:
            components.append(AddressWatch(own))
        components.append(
            ServerAddress(config, identity.paths, own, use=plane.renewal.use, advertise=advertise)
        )
        components += await build_addons(config, identity, plane)
        if config.runs_etcd:
            from k3py.server.etcd.assembly import build_member_parts  # noqa: PLC0415 - only for who has one

            components += await asyncio.to_thread(build_member_parts, config, plane, backend)
        supervisor_client = plane.client(
            "system:k3py-supervisor", "system:masters", user_agent="k3py-supervisor"
        )
        components += scheduled_snapshots(config, backend, supervisor_client)
        components += tree_cleaning(config.data_dir)
        supervisor = Supervisor(components)
        add_checks(plane.health, supervisor, backend)
        plane.health.add_source(plane.led_health, endpoints=("readyz", "healthz"))
        plane.follow_health(lambda: {**supervisor.health(), **plane.led_health()})
        await supervisor.run(ready=spare_started, signals=(signal.SIGTERM, signal.SIGINT))

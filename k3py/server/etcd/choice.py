"""Whether a server runs a member of the managed etcd, and what its datastore then is (D-02, J-80)."""

from __future__ import annotations

import logging
import socket
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from k3py.errors import ConfigError
from k3py.server.etcd.layout import EtcdLayout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from k3py.config.server import ServerConfig

log = logging.getLogger(__name__)


def find_member(data_dir: Path) -> EtcdLayout | None:
    """Return the member that a data dir holds, None if there is none. Blocking."""
    layout = EtcdLayout(data_dir=data_dir)
    return layout if layout.has_member else None


def runs_etcd(config: ServerConfig) -> bool:
    """Say whether the server is to run a member: it has one already, begins a cluster, or joins one. Blocking.

    Raises:
        ConfigError: flags contradict each other.
    """
    layout = EtcdLayout(data_dir=config.data_dir)
    if layout.has_member:
        if config.datastore_endpoint:
            log.warning(
                "--datastore-endpoint is ignored: this server is a member of a managed etcd",
                extra={"folder": str(layout.folder)},
            )
        return True
    if config.cluster_init and config.datastore_endpoint:
        raise ConfigError(
            "--cluster-init: must not be given together with --datastore-endpoint: it runs a datastore of its own"
        )
    return config.cluster_init or bool(config.server and not config.datastore_endpoint)


def names_of_member(config: ServerConfig) -> tuple[str, ...]:
    """Return the names and addresses in the certificates of this server's member."""
    return (config.node_name, socket.gethostname(), config.node_ip)


@asynccontextmanager
async def chosen_datastore(config: ServerConfig) -> AsyncIterator[ServerConfig]:
    """Run the member, if there is to be one, and give the configuration with which the datastore is opened.

    Raises:
        ConfigError, K3pyError: the member cannot run; later, too: it was removed from the cluster.
    """
    if not runs_etcd(config):
        yield config
        return
    from k3py.server.etcd.start import run_member  # noqa: PLC0415 - only for who has one

    async with run_member(config, EtcdLayout(data_dir=config.data_dir)) as layout:
        yield on_member(config, layout)


def on_member(config: ServerConfig, layout: EtcdLayout) -> ServerConfig:
    """Return the configuration with the member as its datastore."""
    files = layout.tls_files
    return replace(
        config,
        datastore_endpoint=layout.endpoint,
        datastore_cafile=files.ca,
        datastore_certfile=files.certificate,
        datastore_keyfile=files.key,
        runs_etcd=True,
    )

"""The administrator's kubeconfig (L-45)."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from k3py.client.kubeconfig import Kubeconfig, write_kubeconfig
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from k3py.config.server import ServerConfig
    from k3py.server.identity import ServerIdentity


def make_admin_kubeconfig(config: ServerConfig, identity: ServerIdentity, port: int) -> Kubeconfig:
    """Return how the administrator reaches this server on this machine. Blocking. Raises OSError."""
    address = ipaddress.ip_address(config.bind_address)
    host = "127.0.0.1" if address.is_unspecified else config.bind_address
    tls = identity.paths.server_tls
    return Kubeconfig(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        ca=identity.root_ca.encode(),
        certificate=(tls / "client-admin.crt").read_bytes(),
        key=(tls / "client-admin.key").read_bytes(),
    )


def publish_admin_kubeconfig(config: ServerConfig, identity: ServerIdentity, port: int) -> None:
    """Write it to --write-kubeconfig. Blocking. Raises ConfigError."""
    target = config.write_kubeconfig
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_kubeconfig(
            target, make_admin_kubeconfig(config, identity, port), mode=config.write_kubeconfig_mode
        )
    except OSError as error:
        raise ConfigError(f"--write-kubeconfig: '{target}': cannot be written: {error.strerror}") from error

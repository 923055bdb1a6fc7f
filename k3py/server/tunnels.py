"""The server's part of tunnels: takes them in, counts them, and leads the API server's connections into them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.cluster.tunnel.egress import TunnelEgress
from k3py.cluster.tunnel.gateway import TunnelGateway
from k3py.util.metrics import Computed

if TYPE_CHECKING:
    from k3py.client.interface import InformerFactory
    from k3py.config.server import ServerConfig
    from k3py.util.metrics import Registry


def build_tunnels(
    config: ServerConfig, informers: InformerFactory, metrics: Registry
) -> tuple[TunnelGateway, TunnelEgress]:
    """Make them; the informers must not run yet."""
    gateway = TunnelGateway()
    metrics.add(
        Computed(
            "k3py_tunnels",
            "Tunnels that nodes hold open to this server.",
            (),
            lambda: [((), gateway.count())],
        )
    )
    return gateway, TunnelEgress(config.egress_selector_mode, gateway, informers)

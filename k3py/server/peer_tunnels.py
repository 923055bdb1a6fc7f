"""Tunnels from a server's own node to the other servers: they reach its kubelet as they reach an agent's (J-62)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from k3py.api.resource import ENDPOINT_SLICES, NODES, PODS
from k3py.cluster.load_balancer import HOST
from k3py.cluster.node_tls import NodeTls
from k3py.cluster.server_list import format_address, server_addresses
from k3py.cluster.tunnel.agent import AgentTunnels
from k3py.cluster.tunnel.dial_policy import DialPolicy
from k3py.util.netaddr import split_pair
from k3py.util.supervise import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from k3py.client.interface import InformerFactory
    from k3py.config.server import ServerConfig
    from k3py.jsontypes import JsonObject
    from k3py.network.own_address import OwnAddress
    from k3py.server.control_plane import ControlPlane
    from k3py.server.identity import ServerIdentity
    from k3py.util.supervise import Component


class PeerServers:
    """The other servers, as the Service `kubernetes` names them. A component: tells of changes.

    Args:
        informers: of EndpointSlices; asked for here.
        own: addresses of this server, without ports.
        port: that of this server's API.
    """

    name = "peer-servers"
    policy = Policy.RESTART
    join = ""

    def __init__(self, informers: InformerFactory, own: Callable[[], Sequence[str]], port: int) -> None:
        self.learned: tuple[str, ...] = ()
        self._own = own
        self._port = port
        self._wake = asyncio.Event()
        self._handlers: list[Callable[[], None]] = []
        self._slices = informers.informer(ENDPOINT_SLICES)
        self._slices.add_handler(self._on_change)

    def on_change(self, handler: Callable[[], None]) -> None:
        """Call `handler` whenever `learned` has changed."""
        self._handlers.append(handler)

    async def run(self, started: Callable[[], None]) -> None:
        """Follow until cancelled."""
        started()
        while True:
            await self._wake.wait()
            self._wake.clear()
            own = {format_address(one, self._port) for one in self._own()}
            found = tuple(
                one for one in server_addresses(self._slices.lister.list("default")) if one not in own
            )
            if found != self.learned:
                self.learned = found
                for handler in self._handlers:
                    handler()

    def _on_change(self, old: JsonObject | None, new: JsonObject | None) -> None:
        if server_addresses(one for one in (old, new) if one is not None):
            self._wake.set()


def build_peer_tunnels(
    config: ServerConfig, identity: ServerIdentity, plane: ControlPlane, own: OwnAddress
) -> list[Component]:
    """Make the components, in starting order; blocking: small files are read."""
    servers = PeerServers(
        plane.informers, lambda: (config.advertise_address, *own.all), config.https_listen_port
    )
    tls = NodeTls(identity.paths.authority("server-ca"), identity.paths.agent / "client-kubelet")
    plane.renewal_hooks.append(tls.reload)
    pods, nodes = plane.informers.informer(PODS), plane.informers.informer(NODES)
    tunnels = AgentTunnels(
        servers,
        None,
        tls=tls.context,
        server_hostname=HOST,
        dial_policy=DialPolicy(
            mode=config.egress_selector_mode,
            kubelet_port=config.kubelet_port,
            pods=lambda: (
                one for one in pods.lister.list() if one["spec"].get("nodeName") == config.node_name
            ),
            nodes=nodes.lister.list,
            cluster_cidrs=split_pair(config.cluster_cidr),
        ),
    )
    own.on_change(tunnels.reconnect)
    return [servers, tunnels]

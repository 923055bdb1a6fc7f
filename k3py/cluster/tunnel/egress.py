"""Which of the API server's connections go through a tunnel: to kubelets, and by the mode to pods and nodes (J-66, P-55)."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from k3py.api.resource import NODES, PODS
from k3py.cluster.server_list import format_address
from k3py.cluster.tunnel.dial_policy import addresses_of

if TYPE_CHECKING:
    import socket

    from k3py.client.interface import InformerFactory
    from k3py.cluster.tunnel.gateway import TunnelGateway
    from k3py.config.node import EgressMode
    from k3py.jsontypes import JsonObject

_BY_ADDRESS: Final = "egress-address"
_KUBELET: Final = "127.0.0.1"


class TunnelEgress:
    """An `Egress` of the API server.

    Args:
        mode: --egress-selector-mode.
        gateway: the tunnels.
        informers: of nodes, and of pods in the mode pod; asked for here, before they run.
    """

    def __init__(self, mode: EgressMode, gateway: TunnelGateway, informers: InformerFactory) -> None:
        self._mode = mode
        self._gateway = gateway
        self._nodes = informers.informer(NODES)
        self._nodes.add_index(_BY_ADDRESS, lambda node: sorted(addresses_of(node)))
        self._pods = informers.informer(PODS) if mode == "pod" else None
        if self._pods is not None:
            self._pods.add_index(_BY_ADDRESS, _pod_addresses)

    async def connect(self, host: str, port: int) -> socket.socket | None:
        """Return a socket that leads through a tunnel, None = dial directly.

        Raises:
            OSError: there is a tunnel, and it does not lead there.
        """
        if self._mode == "disabled" or not self._gateway.count():
            return None
        node_name, target = self._find(host, port)
        session = self._gateway.find(node_name) if node_name else None
        return await session.connect(target) if session is not None else None

    def _find(self, host: str, port: int) -> tuple[str, str]:
        """Return node and target as the node sees it; "" = no node's."""
        for node in self._nodes.lister.by_index(_BY_ADDRESS, host):
            endpoints = (node.get("status") or {}).get("daemonEndpoints") or {}
            name = node["metadata"]["name"]
            if port == (endpoints.get("kubeletEndpoint") or {}).get("Port"):
                return name, format_address(_KUBELET, port)
            if self._mode == "cluster":
                return name, format_address(host, port)
        if self._pods is not None:
            for pod in self._pods.lister.by_index(_BY_ADDRESS, host):
                return pod["spec"].get("nodeName", ""), format_address(host, port)
        if self._mode == "cluster":
            return self._find_range(host), format_address(host, port)
        return "", ""

    def _find_range(self, host: str) -> str:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return ""
        for node in self._nodes.lister.list():
            spec = node.get("spec") or {}
            for cidr in spec.get("podCIDRs") or [spec.get("podCIDR")]:
                if cidr and address in ipaddress.ip_network(cidr):
                    return str(node["metadata"]["name"])
        return ""


def _pod_addresses(pod: JsonObject) -> list[str]:
    status = pod.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed"):
        return []
    return sorted({one["ip"] for one in status.get("podIPs") or ()} | {status.get("podIP") or ""} - {""})

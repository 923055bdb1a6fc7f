"""What an agent dials for a server, by the mode of egress (J-65). Pure but for the listers."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from k3py.cluster.server_list import split_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from k3py.config.node import EgressMode
    from k3py.jsontypes import JsonObject

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class DialPolicy:
    """Decides on one node.

    Args:
        mode: agent = only the kubelet; pod = also this node's pods; cluster = also pods and nodes anywhere.
        kubelet_port: where this node's kubelet listens.
        pods: this node's pods; nodes: all nodes; asked anew each time.
        cluster_cidrs: ranges of all pods.
    """

    def __init__(
        self,
        *,
        mode: EgressMode,
        kubelet_port: int,
        pods: Callable[[], Iterable[JsonObject]],
        nodes: Callable[[], Iterable[JsonObject]],
        cluster_cidrs: Sequence[str],
    ) -> None:
        self._mode = mode
        self._kubelet_port = kubelet_port
        self._pods = pods
        self._nodes = nodes
        self._cidrs = tuple(ipaddress.ip_network(one) for one in cluster_cidrs if one)

    def check(self, target: str) -> tuple[str, int]:
        """Return host and port of a target that may be dialled.

        Raises:
            PermissionError: it may not.
        """
        try:
            host, port = split_address(target)
        except ValueError:
            raise PermissionError(f"{target!r} is not host:port") from None
        if host in _LOOPBACK:
            allowed = port == self._kubelet_port
        elif self._mode == "pod":
            allowed = self._is_of_own_pod(host, port)
        else:
            allowed = self._mode == "cluster" and self._is_in_cluster(host)
        if not allowed:
            raise PermissionError(f"{target} must not be dialled in the egress mode {self._mode}")
        return host, port

    def _is_of_own_pod(self, host: str, port: int) -> bool:
        for pod in self._pods():
            status, spec = pod.get("status") or {}, pod.get("spec") or {}
            addresses = {status.get("podIP"), *(one.get("ip") for one in status.get("podIPs") or ())}
            if host in addresses and (not spec.get("hostNetwork") or port in _declared_ports(spec)):
                return True
        return False

    def _is_in_cluster(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        if any(address in cidr for cidr in self._cidrs):
            return True
        return any(host in addresses_of(node) for node in self._nodes())


def _declared_ports(spec: JsonObject) -> set[int]:
    return {
        port["containerPort"]
        for container in spec.get("containers") or ()
        for port in container.get("ports") or ()
        if port.get("protocol", "TCP") == "TCP"
    }


def addresses_of(node: JsonObject) -> set[str]:
    """Return a Node's addresses and host names."""
    return {one["address"] for one in (node.get("status") or {}).get("addresses") or ()}

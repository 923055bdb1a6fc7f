"""The seams of the pod network."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from k3py.jsontypes import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a service port leads; local: on this node."""

    address: str
    port: int
    local: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort:
    """One port of a service as the proxy sees it; protocol is "TCP", "UDP" or "SCTP".

    `external_local` and `internal_local` are the traffic policies "Local": only `local_endpoints` get such traffic (None: those of
    `endpoints` that are local). `load_balancer_ranges`: who may use the load balancer's addresses, () = everybody.
    `health_check_port`: where load balancers ask whether this node has endpoints, 0 = nowhere; local_ready: how many it has.
    """

    namespace: str
    service: str
    name: str
    protocol: str
    port: int
    cluster_ips: tuple[str, ...] = ()
    node_port: int = 0
    external_ips: tuple[str, ...] = ()
    load_balancer_ips: tuple[str, ...] = ()
    load_balancer_ranges: tuple[str, ...] = ()
    health_check_port: int = 0
    local_ready: int = 0
    external_local: bool = False
    internal_local: bool = False
    session_affinity_s: int = 0
    endpoints: tuple[Endpoint, ...] = field(default=())
    local_endpoints: tuple[Endpoint, ...] | None = None

    @property
    def own_endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints for traffic that must not leave this node."""
        if self.local_endpoints is not None:
            return self.local_endpoints
        return tuple(endpoint for endpoint in self.endpoints if endpoint.local)


ServiceKey = tuple[str, str]
"""Namespace and name."""


def node_ranges(node: JsonObject) -> tuple[str, ...]:
    """Return the ranges of pods of a Node, primary family first; () while it has none."""
    spec = node.get("spec") or {}
    return tuple(spec.get("podCIDRs") or filter(None, (spec.get("podCIDR"),)))


class PolicyEnforcer(Protocol):
    """Enforces network policies for the pods of this node."""

    async def admit(self, pod: JsonObject, find_addresses: Callable[[], Awaitable[Sequence[str]]]) -> None:
        """Return once the rules for a pod that has its addresses, and no container yet, are in the kernel.

        Args:
            pod: the v1 Pod.
            find_addresses: asks the runtime; only called when a policy selects the pod.

        Raises:
            K3pyError: they cannot be written; the pod must not start.
        """


class PodNetwork(Protocol):
    """Gives pods addresses."""

    async def configure(self, *, pod_cidr: str, cni_conf_dir: Path) -> None:
        """Write the CNI configuration for this node's range (atomically; unchanged files are left alone)."""


class ServiceProxy(Protocol):
    """Makes service addresses lead to endpoints on this node."""

    async def replace(self, services: Mapping[ServiceKey, tuple[ServicePort, ...]]) -> None:
        """Make the kernel's rules equal to all these services in one transaction, whatever they are. Raises ProcessFailed."""

    async def change(self, services: Mapping[ServiceKey, tuple[ServicePort, ...]]) -> None:
        """Make the kernel's rules follow the services that changed; one without ports is gone.

        It costs what changed, not what there is. Raises ProcessFailed; the next call then writes all rules anew.
        """

    async def remove(self) -> None:
        """Take all rules back."""


@dataclass(frozen=True, slots=True, order=True)
class Peer:
    """Another node: its address, and one of its ranges of pods ("10.42.1.0/24"), not necessarily of the same family."""

    pod_cidr: str
    address: str

    @property
    def gateway(self) -> str:
        """Return the first address of the range: the node's own end of the overlay."""
        return str(ipaddress.ip_network(self.pod_cidr).network_address)


class Overlay(Protocol):
    """Leads to the pods of other nodes."""

    @property
    def outer_ipv6(self) -> bool | None:
        """Say by which address of a peer its ranges are reached: IPv6 or IPv4; None = that of the range's own family."""

    async def set_up(self, *, ranges: tuple[str, ...]) -> None:
        """Prepare this node, which has these ranges of pods; safe to call again. Raises ProcessFailed."""

    async def apply(self, peers: tuple[Peer, ...]) -> None:
        """Lead to exactly these peers. Raises ProcessFailed."""

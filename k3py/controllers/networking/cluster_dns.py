"""Leads the Service `kube-dns` to the DNS server that every node runs: one endpoint a node, at the first address of its pod range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.resource import ENDPOINT_SLICES, NODES, SERVICES
from k3py.controllers.interface import Watch
from k3py.network.interface import node_ranges
from k3py.util.netaddr import first_host, is_ipv6

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

NAMESPACE: Final = "kube-system"
SERVICE: Final = "kube-dns"
_SLICES: Final = {"IPv4": "kube-dns-nodes", "IPv6": "kube-dns-nodes-ipv6"}
_KEY: Final = "cluster-dns"
_PORTS: Final = (
    {"name": "dns", "protocol": "UDP", "port": 53},
    {"name": "dns-tcp", "protocol": "TCP", "port": 53},
)


def plan_slice(nodes: Iterable[JsonObject], service: JsonObject, family: str = "IPv4") -> JsonObject:
    """Return the slice that names every node with a range of a family ("IPv4", "IPv6")."""
    endpoints = []
    for node in sorted(nodes, key=lambda one: str(one["metadata"]["name"])):
        for cidr in (one for one in node_ranges(node) if is_ipv6(one) == (family == "IPv6")):
            conditions = {"ready": True, "serving": True, "terminating": False}
            address = first_host(cidr)
            endpoints.append(
                {"addresses": [address], "conditions": conditions, "nodeName": node["metadata"]["name"]}
            )
    owner = {
        "apiVersion": "v1",
        "kind": "Service",
        "name": SERVICE,
        "uid": service["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": _SLICES[family],
            "namespace": NAMESPACE,
            "labels": {
                "kubernetes.io/service-name": SERVICE,
                "endpointslice.kubernetes.io/managed-by": "cluster-dns.k3py.io",
            },
            "ownerReferences": [owner],
        },
        "addressType": family,
        "endpoints": endpoints,
        "ports": [dict(port) for port in _PORTS],
    }


class ClusterDnsController:
    """See the module; there is one key."""

    name = "cluster-dns-controller"
    workers = 1

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        nodes = context.informers.informer(NODES)
        services = context.informers.informer(SERVICES)
        slices = context.informers.informer(ENDPOINT_SLICES)
        self._nodes, self._services, self._slices = nodes.lister, services.lister, slices.lister
        self.watches: Sequence[Watch] = (
            Watch(nodes, _key_of_range),
            Watch(services, _key_of(SERVICE)),
            Watch(slices, _key_of(*_SLICES.values())),
        )

    async def reconcile(self, key: str) -> float | None:
        """Make the slice say which nodes there are."""
        service = self._services.find(NAMESPACE, SERVICE)
        if service is None or (service["spec"].get("selector")):
            return None  # no cluster DNS, or somebody else's
        for family in service["spec"].get("ipFamilies") or ("IPv4",):
            await self._ensure(plan_slice(self._nodes.list(), service, family))
        return None

    async def _ensure(self, wanted: JsonObject) -> None:
        found = self._slices.find(NAMESPACE, wanted["metadata"]["name"])
        if found is None:
            await self._client.create(ENDPOINT_SLICES, wanted, namespace=NAMESPACE)
        elif (found.get("endpoints") or []) != wanted["endpoints"] or found.get("ports") != wanted["ports"]:
            changed = {**found, "endpoints": wanted["endpoints"], "ports": wanted["ports"]}
            await self._client.update(ENDPOINT_SLICES, changed)


def _key_of_range(old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    """Only a change of a node's range matters."""
    before, after = (node_ranges(one or {}) for one in (old, new))
    return (_KEY,) if before != after else ()


def _key_of(*names: str) -> Callable[[JsonObject | None, JsonObject | None], Iterable[str]]:
    def keys(old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        metadata = (new or old or {}).get("metadata", {})
        is_asked = metadata.get("namespace") == NAMESPACE and metadata.get("name") in names
        return (_KEY,) if is_asked else ()

    return keys


def build(context: ControllerContext) -> ClusterDnsController:
    """Make the controller."""
    return ClusterDnsController(context)

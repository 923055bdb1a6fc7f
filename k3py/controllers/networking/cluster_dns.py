"""Leads the Service `kube-dns` to the DNS server that every node runs: one endpoint a node, at the first address of its pod range."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from k3py.api.resource import ENDPOINT_SLICES, NODES, SERVICES
from k3py.controllers.interface import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

NAMESPACE: Final = "kube-system"
SERVICE: Final = "kube-dns"
_SLICE: Final = "kube-dns-nodes"
_KEY: Final = "cluster-dns"
_PORTS: Final = (
    {"name": "dns", "protocol": "UDP", "port": 53},
    {"name": "dns-tcp", "protocol": "TCP", "port": 53},
)


def plan_slice(nodes: Iterable[JsonObject], service: JsonObject) -> JsonObject:
    """Return the slice that names every node with a range."""
    endpoints = []
    for node in sorted(nodes, key=lambda one: str(one["metadata"]["name"])):
        cidr = (node.get("spec") or {}).get("podCIDR")
        if cidr:
            conditions = {"ready": True, "serving": True, "terminating": False}
            address = str(ipaddress.ip_network(cidr)[1])
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
            "name": _SLICE,
            "namespace": NAMESPACE,
            "labels": {
                "kubernetes.io/service-name": SERVICE,
                "endpointslice.kubernetes.io/managed-by": "cluster-dns.k3py.io",
            },
            "ownerReferences": [owner],
        },
        "addressType": "IPv4",
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
            Watch(slices, _key_of(_SLICE)),
        )

    async def reconcile(self, key: str) -> float | None:
        """Make the slice say which nodes there are."""
        service = self._services.find(NAMESPACE, SERVICE)
        if service is None or (service["spec"].get("selector")):
            return None  # no cluster DNS, or somebody else's
        wanted = plan_slice(self._nodes.list(), service)
        found = self._slices.find(NAMESPACE, _SLICE)
        if found is None:
            await self._client.create(ENDPOINT_SLICES, wanted, namespace=NAMESPACE)
        elif (found.get("endpoints") or []) != wanted["endpoints"] or found.get("ports") != wanted["ports"]:
            changed = {**found, "endpoints": wanted["endpoints"], "ports": wanted["ports"]}
            await self._client.update(ENDPOINT_SLICES, changed)
        return None


def _key_of_range(old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    """Only a change of a node's range matters."""
    before, after = ((one or {}).get("spec", {}).get("podCIDR") for one in (old, new))
    return (_KEY,) if before != after else ()


def _key_of(name: str) -> Callable[[JsonObject | None, JsonObject | None], Iterable[str]]:
    def keys(old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        metadata = (new or old or {}).get("metadata", {})
        return (_KEY,) if (metadata.get("namespace"), metadata.get("name")) == (NAMESPACE, name) else ()

    return keys


def build(context: ControllerContext) -> ClusterDnsController:
    """Make the controller."""
    return ClusterDnsController(context)

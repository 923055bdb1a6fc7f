"""Which addresses each Service of type LoadBalancer gets. Pure.

Source: K3s pkg/cloudprovider/servicelb.go, docs "Service Load Balancer".
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from k3py.api.conditions import find_status
from k3py.api.object import key_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from k3py.jsontypes import JsonObject

ENABLE_LABEL: Final = "svccontroller.k3s.cattle.io/enablelb"
POOL_LABEL: Final = "svccontroller.k3s.cattle.io/lbpool"
_EXCLUDED: Final = "node.kubernetes.io/exclude-from-external-load-balancers"

NodePort = tuple[str, str, int]
"""A node's name, protocol and port."""


def is_balanced(service: JsonObject) -> bool:
    """Say whether a Service is ours: of type LoadBalancer, and not for a load balancer of another class."""
    spec = service["spec"]
    return (
        spec.get("type") == "LoadBalancer"
        and not spec.get("loadBalancerClass")
        and "deletionTimestamp" not in service["metadata"]
    )


def plan_addresses(
    services: Iterable[JsonObject],
    nodes: Sequence[JsonObject],
    *,
    local_nodes: Mapping[str, Collection[str]],
    taken: Collection[NodePort] = (),
) -> dict[str, list[str]]:
    """Return addresses by the key of each Service that is ours.

    A port of a node belongs to one Service, the oldest that wants it: others go without that node.

    Args:
        services: all of them.
        nodes: all of them.
        local_nodes: nodes with a ready endpoint by the key of each Service with externalTrafficPolicy Local.
        taken: ports of nodes that no Service may have.
    """
    allow_listed = any(ENABLE_LABEL in _labels(node) for node in nodes)
    used: set[NodePort] = set(taken)
    planned: dict[str, list[str]] = {}
    for service in sorted(filter(is_balanced, services), key=_age):
        key, spec = key_of(service), service["spec"]
        chosen = []
        for node in nodes:
            name = node["metadata"]["name"]
            ports = {(name, one.get("protocol", "TCP"), one["port"]) for one in spec.get("ports") or ()}
            if not _takes_part(node, service, allow_listed=allow_listed) or not used.isdisjoint(ports):
                continue
            used |= ports
            if spec.get("externalTrafficPolicy") != "Local" or name in local_nodes.get(key, ()):
                chosen.append(node)
        planned[key] = _addresses(chosen, spec.get("ipFamilies") or ["IPv4"])
    return planned


def _age(service: JsonObject) -> tuple[str, str]:
    return service["metadata"].get("creationTimestamp", ""), key_of(service)


def _labels(node: JsonObject) -> Mapping[str, str]:
    return node["metadata"].get("labels") or {}


def _takes_part(node: JsonObject, service: JsonObject, *, allow_listed: bool) -> bool:
    labels = _labels(node)
    pool = (service["metadata"].get("labels") or {}).get(POOL_LABEL)
    return (
        find_status((node.get("status") or {}).get("conditions"), "Ready") == "True"
        and _EXCLUDED not in labels
        and (not allow_listed or labels.get(ENABLE_LABEL) == "true")
        and (not pool or labels.get(POOL_LABEL) == pool)
    )


def _addresses(nodes: Iterable[JsonObject], families: Sequence[str]) -> list[str]:
    """Return external addresses when any node has one, else internal ones, family by family."""
    found: dict[str, set[str]] = {"ExternalIP": set(), "InternalIP": set()}
    for node in nodes:
        for one in (node.get("status") or {}).get("addresses") or ():
            if one.get("type") in found and one.get("address"):
                found[one["type"]].add(one["address"])
    chosen = found["ExternalIP"] or found["InternalIP"]
    parsed = sorted(map(ipaddress.ip_address, chosen), key=lambda one: (one.version, int(one)))
    return [str(one) for family in families for one in parsed if f"IPv{one.version}" == family]

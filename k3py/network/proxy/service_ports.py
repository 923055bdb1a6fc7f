"""From a Service and its EndpointSlices to the ports that the proxy makes work: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.network.interface import Endpoint, ServicePort

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject

SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"
_OTHER_PROXY_LABEL: Final = "service.kubernetes.io/service-proxy-name"
_HEADLESS_LABEL: Final = "service.kubernetes.io/headless"
_AFFINITY_S: Final = 10800


def plan_service_ports(
    service: JsonObject, slices: Sequence[JsonObject], *, node_name: str, zone: str = ""
) -> tuple[ServicePort, ...]:
    """Return a service's ports; none for headless and ExternalName services and those that another proxy serves.

    Args:
        service: v1 Service.
        slices: its EndpointSlices.
        node_name: this node.
        zone: where this node is, "" = not known.
    """
    spec, metadata = service.get("spec", {}), service["metadata"]
    cluster_ips = tuple(spec.get("clusterIPs") or filter(None, (spec.get("clusterIP"),)))
    labels = metadata.get("labels", {})
    if spec.get("type") == "ExternalName" or not cluster_ips or "None" in cluster_ips:
        return ()
    if _OTHER_PROXY_LABEL in labels or _HEADLESS_LABEL in labels:
        return ()
    external = spec.get("type") in ("NodePort", "LoadBalancer")
    affinity_s = 0
    if spec.get("sessionAffinity") == "ClientIP":
        client = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        affinity_s = client.get("timeoutSeconds") or _AFFINITY_S
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    balancer_ips = tuple(
        item["ip"] for item in ingress if item.get("ip") and item.get("ipMode", "VIP") == "VIP"
    )
    is_balanced = spec.get("type") == "LoadBalancer"
    external_local = spec.get("externalTrafficPolicy") == "Local"
    internal_local = spec.get("internalTrafficPolicy") == "Local"
    found = []
    for port in spec.get("ports") or ():
        candidates = _candidates(
            slices, port.get("name", ""), port.get("protocol", "TCP"), node_name=node_name
        )
        own = [one for one in candidates if one.endpoint.local]
        needs_own = external_local or internal_local
        one = ServicePort(
            namespace=metadata["namespace"],
            service=metadata["name"],
            name=port.get("name", ""),
            protocol=port.get("protocol", "TCP"),
            port=port["port"],
            cluster_ips=cluster_ips,
            node_port=port.get("nodePort", 0) if external else 0,
            external_ips=tuple(spec.get("externalIPs") or ()),
            load_balancer_ips=balancer_ips if is_balanced else (),
            load_balancer_ranges=tuple(spec.get("loadBalancerSourceRanges") or ()) if is_balanced else (),
            health_check_port=(spec.get("healthCheckNodePort") or 0) if is_balanced and external_local else 0,
            local_ready=sum(one.is_ready for one in own) if external_local else 0,
            external_local=external_local,
            internal_local=internal_local,
            session_affinity_s=affinity_s,
            endpoints=_usable(_prefer_near(candidates, node_name=node_name, zone=zone)),
            local_endpoints=_usable(own) if needs_own else None,
        )
        found.append(one)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An endpoint that is ready, or that still serves while it ends; zones and nodes: who had better use it (hints)."""

    endpoint: Endpoint
    is_ready: bool
    zones: tuple[str, ...]
    nodes: tuple[str, ...]


def _candidates(
    slices: Sequence[JsonObject], port_name: str, protocol: str, *, node_name: str
) -> list[_Candidate]:
    found = []
    for slice_ in slices:
        if slice_.get("addressType") == "FQDN":
            continue
        numbers = [
            port["port"]
            for port in slice_.get("ports") or ()
            if (port.get("name") or "") == port_name
            and (port.get("protocol") or "TCP") == protocol
            and port.get("port")
        ]
        for item in slice_.get("endpoints") or ():
            conditions, hints = item.get("conditions") or {}, item.get("hints") or {}
            # Absent ready counts as ready; absent serving is the same as ready.
            is_ready = conditions.get("ready") is not False
            serving = conditions.get("serving")
            if not is_ready and not (conditions.get("terminating") and serving):
                continue
            for number in numbers if item.get("addresses") else ():
                endpoint = Endpoint(
                    address=item["addresses"][0],
                    port=number,
                    local=bool(node_name) and item.get("nodeName") == node_name,
                )
                zones = tuple(one["name"] for one in hints.get("forZones") or ())
                nodes = tuple(one["name"] for one in hints.get("forNodes") or ())
                found.append(_Candidate(endpoint, is_ready, zones, nodes))
    return found


def _prefer_near(candidates: Sequence[_Candidate], *, node_name: str, zone: str) -> Sequence[_Candidate]:
    """Return the ready candidates that are meant for this node, else for its zone, where all of them say for whom they are; else all.

    Source: kube-proxy's choice of topology v1.35.
    """
    ready = [one for one in candidates if one.is_ready]
    if ready and all(one.nodes for one in ready):
        near = [one for one in ready if node_name in one.nodes]
        if near:
            return near
    if ready and zone and all(one.zones for one in ready):
        near = [one for one in ready if zone in one.zones]
        if near:
            return near
    return candidates


def _usable(candidates: Sequence[_Candidate]) -> tuple[Endpoint, ...]:
    """Return the endpoints to use: the ready ones; if there is none, those that still serve while they end."""
    ready = [one for one in candidates if one.is_ready] or candidates
    found = dict.fromkeys(one.endpoint for one in ready)
    return tuple(sorted(found, key=lambda endpoint: (endpoint.address, endpoint.port)))

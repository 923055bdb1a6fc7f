"""From a Service and its EndpointSlices to the ports that the proxy makes work: pure."""

from __future__ import annotations

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
    service: JsonObject, slices: Sequence[JsonObject], *, node_name: str
) -> tuple[ServicePort, ...]:
    """Return a service's ports; none for headless and ExternalName services and those that another proxy serves."""
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
    return tuple(
        ServicePort(
            namespace=metadata["namespace"],
            service=metadata["name"],
            name=port.get("name", ""),
            protocol=port.get("protocol", "TCP"),
            port=port["port"],
            cluster_ips=cluster_ips,
            node_port=port.get("nodePort", 0) if external else 0,
            external_ips=tuple(spec.get("externalIPs") or ()),
            load_balancer_ips=balancer_ips if spec.get("type") == "LoadBalancer" else (),
            external_local=external and spec.get("externalTrafficPolicy") == "Local",
            internal_local=spec.get("internalTrafficPolicy") == "Local",
            session_affinity_s=affinity_s,
            endpoints=_endpoints(
                slices, port.get("name", ""), port.get("protocol", "TCP"), node_name=node_name
            ),
        )
        for port in spec.get("ports") or ()
    )


def _endpoints(
    slices: Sequence[JsonObject], port_name: str, protocol: str, *, node_name: str
) -> tuple[Endpoint, ...]:
    """Return the endpoints to use: the ready ones; if there is none, those that still serve while they end."""
    ready: dict[Endpoint, None] = {}
    serving: dict[Endpoint, None] = {}
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
            conditions = item.get("conditions") or {}
            # Absent ready counts as ready; absent serving is the same as ready.
            is_ready = conditions.get("ready") is not False
            is_serving = conditions.get("serving")
            usable = is_ready if is_serving is None else is_serving
            for number in numbers if item.get("addresses") else ():
                endpoint = Endpoint(
                    address=item["addresses"][0],
                    port=number,
                    ready=is_ready,
                    local=bool(node_name) and item.get("nodeName") == node_name,
                )
                if is_ready:
                    ready[endpoint] = None
                elif usable and conditions.get("terminating"):
                    serving[endpoint] = None
    return tuple(sorted(ready or serving, key=lambda endpoint: (endpoint.address, endpoint.port)))

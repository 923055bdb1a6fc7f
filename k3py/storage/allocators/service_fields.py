"""What in a Service is about addresses and node ports, and what of it an update inherits from the stored one.

Source: pkg/registry/core/service/{strategy.go,storage/storage.go} (patchAllocatedValues, dropTypeDependentFields) v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

_NODE_PORT_TYPES: Final = ("NodePort", "LoadBalancer")


def carry_over(new: JsonObject, old: JsonObject) -> None:
    """Copy what the client left out but the Service has, drop what its new type must not have and the client only echoed."""
    _carry_over_addresses(new, old)
    _carry_over_node_ports(new, old)
    _carry_over_health_port(new, old)


def _carry_over_addresses(new: JsonObject, old: JsonObject) -> None:
    spec, before = new["spec"], old["spec"]
    if not needs_cluster_ip(new):
        for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if spec.get(key) == before.get(key):
                spec.pop(key, None)
        return
    if not needs_cluster_ip(old):
        return
    if not spec.get("clusterIP") and not spec.get("clusterIPs"):
        _inherit(spec, before, "clusterIP", "clusterIPs")
    elif spec.get("clusterIP") == before.get("clusterIP"):
        _inherit(spec, before, "clusterIPs")
    _inherit(spec, before, "ipFamilies", "ipFamilyPolicy")


def _carry_over_node_ports(new: JsonObject, old: JsonObject) -> None:
    if not needs_node_ports(old):
        return
    ports = new["spec"].get("ports") or ()
    if needs_node_ports(new):
        if not allocates_node_ports(new):
            return
        used = set(node_ports_of(new))
        before = old["spec"].get("ports") or ()
        known = {(one["port"], one.get("protocol")): one.get("nodePort") for one in before}
        for port in ports:
            number = known.get((port["port"], port.get("protocol")))
            if not port.get("nodePort") and number and number not in used:
                port["nodePort"] = number
    else:
        echoed = set(node_ports_of(old))
        for port in ports:
            if port.get("nodePort") in echoed:
                del port["nodePort"]


def _carry_over_health_port(new: JsonObject, old: JsonObject) -> None:
    spec, before = new["spec"], old["spec"]
    if needs_health_port(new):
        _inherit(spec, before, "healthCheckNodePort")
    elif spec.get("healthCheckNodePort") == before.get("healthCheckNodePort"):
        spec.pop("healthCheckNodePort", None)


def _inherit(spec: JsonObject, before: JsonObject, *keys: str) -> None:
    for key in keys:
        value = before.get(key)
        if value and not spec.get(key):
            spec[key] = list(value) if isinstance(value, list) else value


def needs_cluster_ip(obj: JsonObject) -> bool:
    """Say whether the Service's type comes with an address ("None" included)."""
    return bool(obj["spec"].get("type", "ClusterIP") in ("ClusterIP", *_NODE_PORT_TYPES))


def needs_node_ports(obj: JsonObject) -> bool:
    """Say whether the Service's type may have node ports."""
    return bool(obj["spec"].get("type", "ClusterIP") in _NODE_PORT_TYPES)


def allocates_node_ports(obj: JsonObject) -> bool:
    """Say whether ports without a node port get one."""
    spec = obj["spec"]
    return spec.get("type") == "NodePort" or spec.get("allocateLoadBalancerNodePorts") is not False


def needs_health_port(obj: JsonObject) -> bool:
    """Say whether load balancers ask each node for the Service's health."""
    spec = obj["spec"]
    return bool(spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local")


def addresses_of(obj: JsonObject) -> list[str]:
    """Return the addresses that the Service holds."""
    spec = obj["spec"]
    addresses = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    return [one for one in addresses if one != "None"]


def node_ports_of(obj: JsonObject) -> list[int]:
    """Return the node ports that the Service holds, that of health checks included."""
    spec = obj["spec"]
    numbers = [port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")]
    if spec.get("healthCheckNodePort"):
        numbers.append(spec["healthCheckNodePort"])
    return numbers


def family_of(address: str) -> str:
    """Return "IPv6" or "IPv4"."""
    return "IPv6" if ":" in address else "IPv4"

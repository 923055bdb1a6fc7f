"""What a Service shows to the outside: traffic policies, load balancers, external addresses.

Source: kubernetes/pkg/apis/core/validation/validation.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import forbidden_field, invalid_value, required
from k3py.api.names import find_qualified_name_faults, find_subdomain_faults
from k3py.api.validation.scalar import (
    check_choice,
    check_cidr,
    check_ip,
    check_known,
    check_outside_ip,
    check_port,
    check_text,
    parse_cidr,
    parse_ip,
    warn_about_cidr,
    warn_about_ip,
)

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

RANGES_ANNOTATION: Final = "service.beta.kubernetes.io/load-balancer-source-ranges"
_ADDRESSED: Final = ("ClusterIP", "NodePort", "LoadBalancer")
_TRAFFIC: Final = ("Cluster", "Local")
_DISTRIBUTIONS: Final = ("PreferClose", "PreferSameNode", "PreferSameZone")
_IP_MODES: Final = ("Proxy", "VIP")
_ONLY_LB: Final = "may only be used when `type` is 'LoadBalancer'"


def is_external(spec: JsonObject) -> bool:
    """Say whether clients outside the cluster can reach the Service."""
    kind = spec.get("type", "ClusterIP")
    return kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


def needs_health_check(spec: JsonObject) -> bool:
    """Say whether load balancers ask the nodes for health."""
    return bool(spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local")


def validate_exposure(obj: JsonObject) -> list[FieldError]:
    """Check everything that is about traffic from outside."""
    spec = obj.get("spec") or {}
    errors: list[FieldError] = []
    for index, address in enumerate(spec.get("externalIPs") or ()):
        errors += check_outside_ip(address, f"spec.externalIPs[{index}]")
    errors += _validate_source_ranges(obj, spec)
    errors += _validate_policies(spec)
    is_balanced = spec.get("type") == "LoadBalancer"
    name = spec.get("loadBalancerClass")
    if name is not None:
        if not is_balanced:
            errors.append(forbidden_field("spec.loadBalancerClass", _ONLY_LB))
        errors += check_text(name, "spec.loadBalancerClass", find_qualified_name_faults)
    allocate = spec.get("allocateLoadBalancerNodePorts")
    if allocate is None and is_balanced:
        errors.append(required("spec.allocateLoadBalancerNodePorts"))
    elif allocate is not None and not is_balanced:
        errors.append(forbidden_field("spec.allocateLoadBalancerNodePorts", _ONLY_LB))
    return errors


def _validate_source_ranges(obj: JsonObject, spec: JsonObject) -> list[FieldError]:
    errors: list[FieldError] = []
    ranges = spec.get("loadBalancerSourceRanges") or ()
    is_balanced = spec.get("type") == "LoadBalancer"
    if ranges:
        path = "spec.LoadBalancerSourceRanges"  # upstream's spelling
        if not is_balanced:
            errors.append(forbidden_field(path, _ONLY_LB))
        for index, block in enumerate(ranges):
            errors += check_cidr(block.strip(), f"{path}[{index}]")
        return errors
    text = (obj["metadata"].get("annotations") or {}).get(RANGES_ANNOTATION)
    if text is not None:
        path = f"metadata.annotations[{RANGES_ANNOTATION}]"
        if not is_balanced:
            errors.append(forbidden_field(path, _ONLY_LB))
        if text.strip() and any(parse_cidr(one.strip()) is None for one in text.split(",")):
            errors.append(invalid_value(path, text, "must be a list of IP ranges, such as 10.0.0.0/8"))
    return errors


def _validate_policies(spec: JsonObject) -> list[FieldError]:
    errors: list[FieldError] = []
    policy, path = spec.get("externalTrafficPolicy"), "spec.externalTrafficPolicy"
    if is_external(spec):
        errors += check_choice(policy, path, _TRAFFIC)
    elif policy:
        errors.append(invalid_value(path, policy, "may only be set for externally-accessible services"))
    port, path = spec.get("healthCheckNodePort") or 0, "spec.healthCheckNodePort"
    if needs_health_check(spec):
        errors += check_port(port, path) if port else [required(path)]
    elif port:
        detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        errors.append(invalid_value(path, port, detail))
    if spec.get("internalTrafficPolicy") is not None:
        errors += check_known(spec["internalTrafficPolicy"], "spec.internalTrafficPolicy", _TRAFFIC)
    elif spec.get("type", "ClusterIP") in _ADDRESSED:
        errors.append(required("spec.internalTrafficPolicy"))
    if spec.get("trafficDistribution") is not None:
        errors += check_known(spec["trafficDistribution"], "spec.trafficDistribution", _DISTRIBUTIONS)
    return errors


def validate_load_balancer_status(obj: JsonObject) -> list[FieldError]:
    """Check where load balancers take traffic in."""
    points = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    path = "status.loadBalancer.ingress"
    if points and (obj.get("spec") or {}).get("type") != "LoadBalancer":
        return [forbidden_field(path, "may only be used when `spec.type` is 'LoadBalancer'")]
    errors: list[FieldError] = []
    for index, point in enumerate(points):
        where = f"{path}[{index}]"
        address, mode, host = point.get("ip"), point.get("ipMode"), point.get("hostname")
        if address:
            errors += check_ip(address, f"{where}.ip")
        if mode is None:
            if address:
                errors.append(required(f"{where}.ipMode", "must be specified when `ip` is set"))
        elif not address:
            errors.append(forbidden_field(f"{where}.ipMode", "may not be specified when `ip` is not set"))
        else:
            errors += check_known(mode, f"{where}.ipMode", _IP_MODES)
        if host:
            errors += check_text(host, f"{where}.hostname", find_subdomain_faults)
            if parse_ip(host) is not None:
                detail = "must be a DNS name, not an IP address"
                errors.append(invalid_value(f"{where}.hostname", host, detail))
    return errors


def warn_about_addresses(spec: JsonObject) -> list[str]:
    """Return what a later release will not take of a Service's addresses."""
    texts: list[str] = []
    for field in ("clusterIPs", "externalIPs"):
        for index, address in enumerate(spec.get(field) or ()):
            texts += warn_about_ip(address, f"spec.{field}[{index}]")
    if spec.get("loadBalancerIP"):
        texts += warn_about_ip(spec["loadBalancerIP"], "spec.loadBalancerIP")
    for index, cidr in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        texts += warn_about_cidr(cidr, f"spec.loadBalancerSourceRanges[{index}]")
    return texts

"""Network policies. Source: kubernetes/pkg/apis/networking/validation v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import forbidden_field, invalid_value, required
from k3py.api.validation.scalar import (
    PROTOCOLS,
    check_cidr,
    check_known,
    check_port,
    check_port_or_name,
    parse_cidr,
)
from k3py.api.validation.selector import validate_selector

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_TYPES: Final = ("Egress", "Ingress")


def validate_network_policy(spec: JsonObject) -> list[FieldError]:
    """Check the spec of a NetworkPolicy."""
    errors = validate_selector(spec.get("podSelector") or {}, "spec.podSelector")
    for field, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(field) or ()):
            where = f"spec.{field}[{index}]"
            for number, port in enumerate(rule.get("ports") or ()):
                errors += _validate_port(port, f"{where}.ports[{number}]")
            for number, peer in enumerate(rule.get(peers) or ()):
                errors += _validate_peer(peer, f"{where}.{peers}[{number}]")
    types = spec.get("policyTypes") or ()
    if len(types) > len(_TYPES):
        detail = "may not specify more than two policyTypes"
        return [*errors, invalid_value("spec.policyTypes", list(types), detail)]
    for index, kind in enumerate(types):
        errors += check_known(kind, f"spec.policyTypes[{index}]", _TYPES)
    return errors


def _validate_port(one: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if one.get("protocol") is not None:
        errors += check_known(one["protocol"], f"{path}.protocol", PROTOCOLS)
    port, end, where = one.get("port"), one.get("endPort"), f"{path}.endPort"
    if port is not None:
        errors += check_port_or_name(port, f"{path}.port")
    if end is None:
        return errors
    if port is None:
        errors.append(invalid_value(where, end, "may not be specified when `port` is not specified"))
    elif not isinstance(port, int):
        errors.append(invalid_value(where, end, "may not be specified when `port` is non-numeric"))
    else:
        if end < port:
            errors.append(invalid_value(where, end, "must be greater than or equal to `port`"))
        errors += check_port(end, where)
    return errors


def _validate_peer(peer: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    selectors = [field for field in ("podSelector", "namespaceSelector") if peer.get(field) is not None]
    for field in selectors:
        errors += validate_selector(peer[field], f"{path}.{field}")
    block = peer.get("ipBlock")
    if block is not None:
        errors += _validate_block(block, f"{path}.ipBlock")
        if selectors:
            errors.append(forbidden_field(path, "may not specify both ipBlock and another peer"))
    elif not selectors:
        errors.append(required(path, "must specify a peer"))
    return errors


def _validate_block(block: JsonObject, path: str) -> list[FieldError]:
    text = block.get("cidr", "")
    if not text:
        return [required(f"{path}.cidr")]
    errors = check_cidr(text, f"{path}.cidr")
    network = parse_cidr(text)
    for index, exception in enumerate(block.get("except") or ()):
        where = f"{path}.except[{index}]"
        errors += check_cidr(exception, where)
        other = parse_cidr(exception)
        if network is None or other is None:
            continue
        inside = (
            network.version == other.version
            and other.prefixlen > network.prefixlen
            and other.network_address in network
        )
        if not inside:
            errors.append(invalid_value(where, exception, "must be a strict subset of `cidr`"))
    return errors

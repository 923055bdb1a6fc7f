"""Addresses and ranges of Services as objects. Source: kubernetes/pkg/apis/networking/validation/validation.go v1.35."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import invalid_value, required
from k3py.api.names import find_path_segment_faults, find_subdomain_faults
from k3py.api.validation.scalar import IMMUTABLE, check_text, parse_cidr

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_MOST_RANGES: Final = 2


def find_address_faults(name: str) -> list[str]:
    """The name of an IPAddress is the address, in the one way to write it."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    if getattr(address, "scope_id", None):
        return ["must not have a zone"]
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        return ["must not be an IPv4-mapped IPv6 address"]
    return [] if str(address) == name else [f'must be in canonical form ("{address}")']


def validate_address(spec: JsonObject) -> list[FieldError]:
    """An address belongs to an object."""
    parent = spec.get("parentRef")
    path = "spec.parentRef"
    if parent is None:
        return [required(path)]
    errors = (
        check_text(parent["group"], f"{path}.group", find_subdomain_faults) if parent.get("group") else []
    )
    for field in ("resource", "name"):
        text = parent.get(field, "")
        where = f"{path}.{field}"
        errors += check_text(text, where, find_path_segment_faults) if text else [required(where)]
    return errors + check_text(parent.get("namespace", ""), f"{path}.namespace", find_path_segment_faults)


def validate_ranges(spec: JsonObject) -> list[FieldError]:
    """One range, or one of each family."""
    cidrs = spec.get("cidrs") or []
    path = "spec.cidrs"
    if not cidrs:
        return [required(path, "at least one CIDR required")]
    if len(cidrs) > _MOST_RANGES:
        return [invalid_value(path, cidrs, "may only hold up to 2 values")]
    networks = [parse_cidr(cidr) for cidr in cidrs]
    errors: list[FieldError] = []
    if len(cidrs) == _MOST_RANGES and len({one.version for one in networks if one is not None}) < len(cidrs):
        errors.append(invalid_value(path, cidrs, "may specify no more than one IP for each IP family"))
    for index, (cidr, network) in enumerate(zip(cidrs, networks, strict=True)):
        if network is None:
            detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            errors.append(invalid_value(f"{path}[{index}]", cidr, detail))
        elif str(network) != cidr:
            errors.append(invalid_value(f"{path}[{index}]", cidr, f'must be in canonical form ("{network}")'))
    return errors


def validate_range_change(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """Ranges stay; a second one, of the other family, may come."""
    after, before = new.get("cidrs") or [], old.get("cidrs") or []
    if len(after) == len(before):
        kept = range(len(before))
    elif len(before) == 1 and len(after) == _MOST_RANGES:
        kept = range(1)
    else:
        return [invalid_value("spec.cidrs", after, IMMUTABLE)]
    errors = [
        invalid_value(f"spec.cidrs[{index}]", after[index], IMMUTABLE)
        for index in kept
        if after[index] != before[index]
    ]
    return errors + (validate_ranges(new) if len(after) > len(before) else [])

"""How clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy of a Service belong together.

Used by the strategy and, ahead of any allocation, by whoever allocates addresses.
Source: kubernetes/pkg/apis/core/validation/validation.go ValidateServiceClusterIPsRelatedFields and
pkg/registry/core/service/storage/storage.go normalizeClusterIPs v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import duplicate, invalid_value, not_supported, required
from k3py.api.validation.scalar import check_ip, parse_ip

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

HEADLESS: Final = "None"
FAMILIES: Final = ("IPv4", "IPv6")
POLICIES: Final = ("PreferDualStack", "RequireDualStack", "SingleStack")
_MOST_IPS: Final = 2
_IPS: Final = "spec.clusterIPs"


def is_headless(spec: JsonObject) -> bool:
    """Say whether the Service has no address on purpose."""
    return bool((spec.get("clusterIPs") or [""])[0] == HEADLESS)


def normalize_cluster_ips(new: JsonObject, old: JsonObject | None) -> None:
    """Let clusterIPs follow clusterIP where the client changed only the latter."""
    spec = new["spec"]
    address, addresses = spec.get("clusterIP"), spec.get("clusterIPs")
    if old is None:
        if address and not addresses:
            spec["clusterIPs"] = [address]
        return
    before = old["spec"]
    if address == before.get("clusterIP") or (addresses or []) != (before.get("clusterIPs") or []):
        return
    if address:
        spec["clusterIPs"] = [address, *(addresses or [])[1:]]
    else:
        spec.pop("clusterIPs", None)


def validate_cluster_ip_fields(spec: JsonObject) -> list[FieldError]:
    """Check the four fields, as far as they are filled in; an ExternalName Service has none of them."""
    if spec.get("type") == "ExternalName":
        return []
    address: str = spec.get("clusterIP") or ""
    addresses: list[str] = spec.get("clusterIPs") or []
    errors: list[FieldError] = []
    if address:
        if not addresses:
            errors.append(required(_IPS))
        elif addresses[0] != address:
            errors.append(invalid_value(_IPS, addresses, "first value must match `clusterIP`"))
    elif addresses:
        errors.append(invalid_value(_IPS, addresses, "must be empty when `clusterIP` is not specified"))
    families: list[str] = spec.get("ipFamilies") or []
    for index, family in enumerate(families):
        if family not in FAMILIES:
            errors.append(not_supported(f"spec.ipFamilies[{index}]", family, FAMILIES))
        if family in families[:index]:
            errors.append(duplicate(f"spec.ipFamilies[{index}]", family))
    policy = spec.get("ipFamilyPolicy")
    if policy is not None and policy not in POLICIES:
        errors.append(not_supported("spec.ipFamilyPolicy", policy, POLICIES))
    bad, has_invalid = _check_addresses(addresses)
    errors += bad
    return errors if has_invalid else errors + _check_families(spec, addresses, families, fine=not errors)


def _check_addresses(addresses: list[str]) -> tuple[list[FieldError], bool]:
    errors: list[FieldError] = []
    for index, one in enumerate(addresses):
        if index == 0 and one == HEADLESS:
            if len(addresses) > 1:
                errors.append(invalid_value(_IPS, addresses, "'None' must be the first and only value"))
            continue
        errors += check_ip(one, f"{_IPS}[{index}]")
    has_invalid = bool(errors)
    if len(addresses) > _MOST_IPS:
        errors.append(invalid_value(_IPS, addresses, f"may only hold up to {_MOST_IPS} values"))
    return errors, has_invalid


def _check_families(
    spec: JsonObject, addresses: list[str], families: list[str], *, fine: bool
) -> list[FieldError]:
    found = [parse_ip(one) for one in addresses]
    versions = [f"IPv{one.version}" for one in found if one is not None]
    if len(addresses) > 1 and len(set(versions)) != len(addresses):
        detail = "may specify no more than one IP for each IP family"
        return [invalid_value(_IPS, addresses, detail)]
    if not fine or is_headless(spec):
        return []
    return [
        invalid_value(
            f"{_IPS}[{index}]", one, f"expected an {family} value as indicated by `ipFamilies[{index}]`"
        )
        for index, (one, version, family) in enumerate(zip(addresses, versions, families, strict=False))
        if version != family
    ]


def validate_cluster_ip_change(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """The first address and family stay; the second ones may come and go. Both are specs, neither of type ExternalName."""
    errors: list[FieldError] = []
    for field, what in (("clusterIPs", "clusterIP"), ("ipFamilies", "ipFamily")):
        before, after = old.get(field) or [], new.get(field) or []
        path = f"spec.{field}"
        if before and not after:
            errors.append(invalid_value(f"{path}[0]", after, f"primary {what} can not be unset"))
            continue
        errors += [
            invalid_value(f"{path}[{index}]", after, "may not change once set")
            for index, (one, other) in enumerate(zip(before, after, strict=False))
            if one != other
        ]
        if len(before) > len(after) == 1 and new.get("ipFamilyPolicy") != "SingleStack":
            detail = "must be set to 'SingleStack' when releasing the secondary clusterIP"
            errors.append(invalid_value("spec.ipFamilyPolicy", new.get("ipFamilyPolicy"), detail))
    return errors

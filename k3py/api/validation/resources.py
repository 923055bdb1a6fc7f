"""Requests and limits. Source: kubernetes/pkg/apis/core/validation/validation.go and pkg/apis/core/helper v1.35."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import duplicate, forbidden_field, invalid_value, required
from k3py.api.names import find_label_faults, find_qualified_name_faults
from k3py.api.quantity import parse_quantity
from k3py.api.validation.scalar import NEGATIVE, check_text, not_found

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject, JsonValue

_HUGE_PAGES: Final = "hugepages-"
_CONTAINER: Final = frozenset(("cpu", "memory", "ephemeral-storage"))
_POD: Final = frozenset(("cpu", "memory"))
_COMPUTE: Final = _POD
_STANDARD: Final = _CONTAINER | {
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
    "storage",
    "requests.storage",
}
COUNTED: Final = frozenset(
    (
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    )
)
_STANDARD_TEXT: Final = "must be a standard resource type or fully qualified"


def amount_of(text: JsonValue) -> Decimal:
    """Return the exact value of a quantity of a decoded object."""
    return parse_quantity(str(text))


def is_native(name: str) -> bool:
    """Say whether a resource is Kubernetes' own."""
    return "/" not in name or "kubernetes.io/" in name


def is_huge_page(name: str) -> bool:
    """Say whether a resource is huge pages of some size."""
    return name.startswith(_HUGE_PAGES)


def is_extended(name: str) -> bool:
    """Say whether a resource is somebody else's, such as example.com/gpu."""
    return (
        not is_native(name)
        and not name.startswith("requests.")
        and not find_qualified_name_faults(f"requests.{name}")
    )


def is_standard(name: str) -> bool:
    """Say whether a name without a prefix means something."""
    return name in _STANDARD or is_huge_page(name) or name.startswith("requests.hugepages-")


def check_resource_name(name: str, path: str) -> list[FieldError]:
    """The name of a resource is qualified, or known."""
    errors = check_text(name, path, find_qualified_name_faults)
    if not errors and "/" not in name and not is_standard(name):
        errors.append(invalid_value(path, name, _STANDARD_TEXT))
    return errors


def check_quantity(name: str, value: JsonValue, path: str) -> list[FieldError]:
    """An amount is not negative, and whole where halves make no sense."""
    amount = amount_of(value)
    errors = [invalid_value(path, value, NEGATIVE)] if amount < 0 else []
    if (name in COUNTED or is_extended(name)) and amount != amount.to_integral_value():
        errors.append(invalid_value(path, value, "must be an integer"))
    return errors


def _check_container_resource(name: str, path: str, standard: AbstractSet[str]) -> list[FieldError]:
    errors = check_resource_name(name, path)
    if "/" not in name:
        if name not in standard and not is_huge_page(name):
            errors.append(invalid_value(path, name, "must be a standard resource for containers"))
    elif not is_native(name) and not is_extended(name):
        errors.append(invalid_value(path, name, "doesn't follow extended resource name standard"))
    return errors


def validate_resources(
    resources: JsonObject, path: str, claims: AbstractSet[str] = frozenset(), *, of_pod: bool = False
) -> list[FieldError]:
    """Check names and amounts, that requests do not exceed limits, and claims; `claims`: names the pod has."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    standard = _POD if of_pod else _CONTAINER
    errors: list[FieldError] = []
    for field, quantities in (("limits", limits), ("requests", requests)):
        for name, value in quantities.items():
            where = f"{path}.{field}[{name}]"
            errors += _check_container_resource(name, where, standard)
            errors += check_quantity(name, value, where)
    errors += _compare(limits, requests, path)
    names = {*limits, *requests}
    if any(is_huge_page(name) for name in names) and not names & _COMPUTE:
        errors.append(forbidden_field(path, "HugePages require cpu or memory"))
    return errors + _validate_claims(resources.get("claims") or (), claims, f"{path}.claims")


def _compare(limits: JsonObject, requests: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for name, value in requests.items():
        overcommit = is_native(name) and not is_huge_page(name)
        if name not in limits:
            if not overcommit:
                errors.append(
                    required(f"{path}.limits", "Limit must be set for non overcommitable resources")
                )
            continue
        asked, most = amount_of(value), amount_of(limits[name])
        if asked != most and not overcommit:
            errors.append(
                invalid_value(f"{path}.requests", value, f"must be equal to {name} limit of {limits[name]}")
            )
        elif asked > most:
            detail = f"must be less than or equal to {name} limit of {limits[name]}"
            errors.append(invalid_value(f"{path}.requests", value, detail))
    return errors


def _validate_claims(claims: JsonValue, known: AbstractSet[str], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        where = f"{path}[{index}]"
        name, request = claim.get("name", ""), claim.get("request", "")
        if not name:
            errors.append(required(where))
            continue
        key = f"{name}/{request}" if request else name
        if name in seen or key in seen:
            errors.append(duplicate(where, key))
        seen.add(key)
        if request:
            errors += check_text(request, f"{where}.request", find_label_faults)
        if name not in known:
            errors.append(not_found(f"{where}.name", name))
    return errors


def validate_pod_resources(spec: JsonObject, path: str, claims: AbstractSet[str]) -> list[FieldError]:
    """Check resources that a pod asks for as a whole, and that its containers fit into them."""
    resources = spec.get("resources")
    if resources is None:
        return []
    errors = validate_resources(resources, path, claims, of_pod=True)
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    containers = spec.get("containers") or ()
    for name, value in requests.items():
        total = sum(
            (
                amount_of(((one.get("resources") or {}).get("requests") or {}).get(name, 0))
                for one in containers
            ),
            Decimal(0),
        )
        if total > amount_of(value):
            detail = f"must be greater than or equal to aggregate container requests of {total}"
            errors.append(invalid_value(f"{path}.requests[{name}]", value, detail))
    for index, one in enumerate(containers):
        for name, value in ((one.get("resources") or {}).get("limits") or {}).items():
            if name in limits and amount_of(value) > amount_of(limits[name]):
                where = f"{path}.containers[{index}][{name}].limits"
                detail = f"must be less than or equal to pod limits of {limits[name]}"
                errors.append(invalid_value(where, value, detail))
    return errors

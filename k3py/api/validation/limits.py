"""Limit ranges. Source: kubernetes/pkg/apis/core/validation/validation.go ValidateLimitRange v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import duplicate, forbidden_field, invalid_value, required
from k3py.api.names import find_qualified_name_faults
from k3py.api.validation.resources import amount_of, check_resource_name, is_huge_page
from k3py.api.validation.scalar import check_text

if TYPE_CHECKING:
    from decimal import Decimal

    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_TYPES: Final = ("Pod", "Container", "PersistentVolumeClaim")
_PARTS: Final = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
_CONTAINER: Final = frozenset(("cpu", "memory", "ephemeral-storage"))
# smaller, larger, whose fault it is
_ORDER: Final = (
    ("min", "max", "min"),
    ("min", "defaultRequest", "defaultRequest"),
    ("defaultRequest", "max", "defaultRequest"),
    ("defaultRequest", "default", "defaultRequest"),
    ("min", "default", "default"),
    ("default", "max", "default"),
)


def validate_limits(spec: JsonObject) -> list[FieldError]:
    """Check the spec of a limit range."""
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, limit in enumerate(spec.get("limits") or ()):
        path, kind = f"spec.limits[{index}]", limit.get("type", "")
        errors += check_text(kind, f"{path}.type", _find_type_faults)
        if kind in seen:
            errors.append(duplicate(f"{path}.type", kind))
        seen.add(kind)
        errors += _check_names(limit, kind, path)
        if kind == "PersistentVolumeClaim" and not any(
            "storage" in (limit.get(part) or {}) for part in ("min", "max")
        ):
            detail = "either minimum or maximum storage value is required, but neither was provided"
            errors.append(required(f"{path}.limits", detail))
        for name in {name for part in _PARTS for name in limit.get(part) or ()}:
            errors += _check_order(limit, name, path)
    return errors


def _find_type_faults(kind: str) -> list[str]:
    faults = find_qualified_name_faults(kind)
    if not faults and "/" not in kind and kind not in _TYPES:
        faults.append("must be a standard limit type or fully qualified")
    return faults


def _check_names(limit: JsonObject, kind: str, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for part in _PARTS:
        amounts = limit.get(part) or {}
        if kind == "Pod" and part in ("default", "defaultRequest"):
            if amounts:
                errors.append(forbidden_field(f"{path}.{part}", "may not be specified when `type` is 'Pod'"))
            continue
        for name in amounts:
            where = f"{path}.{part}[{name}]"
            faults = check_resource_name(name, where)
            is_known = "/" in name or name in _CONTAINER or is_huge_page(name)
            if not faults and kind in ("Pod", "Container") and not is_known:
                faults.append(invalid_value(where, name, "must be a standard resource for containers"))
            errors += faults
    return errors


def _check_order(limit: JsonObject, name: str, path: str) -> list[FieldError]:
    amounts: dict[str, Decimal] = {
        part: amount_of(limit[part][name]) for part in _PARTS if name in (limit.get(part) or {})
    }
    errors: list[FieldError] = []
    for small, large, blamed in _ORDER:
        if small in amounts and large in amounts and amounts[small] > amounts[large]:
            text = limit[blamed][name]
            detail = f"{small} value {limit[small][name]} is greater than {large} value {limit[large][name]}"
            errors.append(invalid_value(f"{path}.{blamed}[{name}]", text, detail))
    ratio = amounts.get("maxLimitRequestRatio")
    where = f"{path}.maxLimitRequestRatio[{name}]"
    if ratio is not None:
        shown = limit["maxLimitRequestRatio"][name]
        if ratio < 1:
            errors.append(invalid_value(where, shown, f"ratio {shown} is less than 1"))
        low, high = amounts.get("min"), amounts.get("max")
        if low and high is not None and ratio > high / low:
            errors.append(
                invalid_value(where, shown, f"ratio {shown} is greater than max/min = {high / low}")
            )
    return errors

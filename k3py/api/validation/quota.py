"""Quotas and their scopes. Source: kubernetes/pkg/apis/core/validation/validation.go ValidateResourceQuota v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import invalid_value, required
from k3py.api.names import find_qualified_name_faults
from k3py.api.validation.resources import check_quantity, is_huge_page
from k3py.api.validation.scalar import IMMUTABLE, check_text

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject, JsonValue

_COMPUTE: Final = frozenset(
    ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "pods")
)
_STANDARD: Final = _COMPUTE | {
    "ephemeral-storage",
    "requests.ephemeral-storage",
    "limits.ephemeral-storage",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
    "requests.storage",
}
_PODS: Final = frozenset(("pods",))
_VALID_FOR: Final = {
    "BestEffort": _PODS,
    "NotBestEffort": _COMPUTE,
    "Terminating": _COMPUTE,
    "NotTerminating": _COMPUTE,
    "PriorityClass": _COMPUTE,
    "CrossNamespacePodAffinity": _COMPUTE,
    "VolumeAttributesClass": frozenset(("persistentvolumeclaims", "requests.storage")),
}
_WITHOUT_VALUES: Final = frozenset(
    ("BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity")
)
_CONFLICTS: Final = (frozenset(("BestEffort", "NotBestEffort")), frozenset(("Terminating", "NotTerminating")))


def check_amounts(amounts: JsonObject, path: str) -> list[FieldError]:
    """Check names and amounts of what a quota counts."""
    errors: list[FieldError] = []
    for name, value in amounts.items():
        where = f"{path}[{name}]"
        faults = check_text(name, where, find_qualified_name_faults)
        if not faults and "/" not in name and not _is_standard(name):
            faults.append(invalid_value(where, name, "must be a standard resource type or fully qualified"))
            faults.append(invalid_value(where, name, "must be a standard resource for quota"))
        errors += [*faults, *check_quantity(name, value, where)]
    return errors


def _is_standard(name: str) -> bool:
    return name in _STANDARD or is_huge_page(name.removeprefix("requests."))


def validate_quota(spec: JsonObject) -> list[FieldError]:
    """Check the spec of a quota."""
    hard = spec.get("hard") or {}
    errors = check_amounts(hard, "spec.hard")
    scopes = spec.get("scopes") or ()
    errors += _check_scopes(scopes, hard, scopes, "spec.scopes")
    selector = spec.get("scopeSelector")
    if selector is not None:
        errors += _validate_selector(selector.get("matchExpressions") or (), hard)
    return errors


def _check_scopes(scopes: JsonValue, hard: JsonObject, value: JsonValue, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for scope in scopes:
        valid = _VALID_FOR.get(scope)
        if valid is None:
            errors.append(invalid_value(path, value, "unsupported scope"))
        elif any(_is_standard(name) and name not in valid for name in hard):
            errors.append(invalid_value(path, value, "unsupported scope applied to resource"))
    if any(pair <= set(scopes) for pair in _CONFLICTS):
        errors.append(invalid_value(path, value, "conflicting scopes"))
    return errors


def _validate_selector(expressions: JsonValue, hard: JsonObject) -> list[FieldError]:
    path = "spec.scopeSelector.matchExpressions"
    errors: list[FieldError] = []
    for one in expressions:
        scope, operator, values = one.get("scopeName", ""), one.get("operator", ""), one.get("values") or ()
        if scope not in _VALID_FOR:
            errors.append(invalid_value(f"{path}.scopeName", scope, "unsupported scope"))
        elif any(_is_standard(name) and name not in _VALID_FOR[scope] for name in hard):
            errors.append(invalid_value(path, expressions, "unsupported scope applied to resource"))
        if scope in _WITHOUT_VALUES and operator != "Exists":
            detail = "must be 'Exist' when scope is any of " + ", ".join(sorted(_WITHOUT_VALUES))
            errors.append(invalid_value(f"{path}.operator", operator, detail))
        match operator:
            case "In" | "NotIn":
                if not values:
                    detail = (
                        "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                    )
                    errors.append(required(f"{path}.values", detail))
            case "Exists" | "DoesNotExist":
                if values:
                    detail = (
                        "must be no value when `operator` is 'Exists' or 'DoesNotExist' for scope selector"
                    )
                    errors.append(invalid_value(f"{path}.values", values, detail))
            case _:
                errors.append(invalid_value(f"{path}.operator", operator, "not a valid selector operator"))
    if any(pair <= {one.get("scopeName") for one in expressions} for pair in _CONFLICTS):
        errors.append(invalid_value(path, expressions, "conflicting scopes"))
    return errors


def validate_quota_change(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """The scopes of a quota stay, in whatever order. Both are specs."""
    errors: list[FieldError] = []
    if set(new.get("scopes") or ()) != set(old.get("scopes") or ()):
        errors.append(invalid_value("spec.scopes", new.get("scopes"), IMMUTABLE))
    if (new.get("scopeSelector") or None) != (old.get("scopeSelector") or None):
        errors.append(invalid_value("spec.scopeSelector", new.get("scopeSelector"), IMMUTABLE))
    return errors

"""Configurations of admission webhooks. Source: kubernetes/pkg/apis/admissionregistration/validation v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.cel.admission import Environment
from k3py.api.fielderror import duplicate, invalid_value, not_supported, required
from k3py.api.names import find_subdomain_faults
from k3py.api.validation.admission_rules import (
    FAILURE_POLICIES,
    MATCH_POLICIES,
    validate_match_conditions,
    validate_rule,
)
from k3py.api.validation.scalar import check_known, check_range, check_text
from k3py.api.validation.selector import validate_selector
from k3py.api.validation.webhook_client import validate_client, validate_reviews

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_SIDE_EFFECTS: Final = ("None", "NoneOnDryRun")
_REINVOCATIONS: Final = ("IfNeeded", "Never")
_LEAST_PARTS: Final = 3


def validate_webhooks(obj: JsonObject, old: JsonObject | None, *, is_mutating: bool) -> list[FieldError]:
    """Check the webhooks of a configuration; `old` None = it is new."""
    errors: list[FieldError] = []
    before = {one.get("name"): one for one in (old or {}).get("webhooks") or ()}
    seen: set[str] = set()
    for index, one in enumerate(obj.get("webhooks") or ()):
        path, name = f"webhooks[{index}]", one.get("name") or ""
        errors += _validate_webhook(one, before.get(name) or {}, path)
        policy = one.get("reinvocationPolicy")
        if is_mutating and policy is not None and policy not in _REINVOCATIONS:
            errors.append(not_supported(f"{path}.reinvocationPolicy", policy, _REINVOCATIONS))
        errors += validate_reviews(
            one.get("admissionReviewVersions") or (), f"{path}.admissionReviewVersions"
        )
        if name and name in seen:
            errors.append(duplicate(f"{path}.name", name))
        seen.add(name)
    return errors


def _validate_webhook(one: JsonObject, before: JsonObject, path: str) -> list[FieldError]:
    errors = _validate_name(one.get("name") or "", f"{path}.name")
    for index, rule in enumerate(one.get("rules") or ()):
        errors += validate_rule(rule, f"{path}.rules[{index}]")
    for key, allowed in (("failurePolicy", FAILURE_POLICIES), ("matchPolicy", MATCH_POLICIES)):
        if one.get(key) is not None:
            errors += check_known(one[key], f"{path}.{key}", allowed)
    effects = one.get("sideEffects")
    if effects is None:
        errors.append(required(f"{path}.sideEffects", f"must specify one of {', '.join(_SIDE_EFFECTS)}"))
    else:
        errors += check_known(effects, f"{path}.sideEffects", _SIDE_EFFECTS)
    errors += check_range(one.get("timeoutSeconds"), f"{path}.timeoutSeconds", 1, 30)
    for key in ("namespaceSelector", "objectSelector"):
        if one.get(key) is not None:
            errors += validate_selector(one[key], f"{path}.{key}")
    errors += validate_client(one.get("clientConfig") or {}, f"{path}.clientConfig")
    conditions = one.get("matchConditions") or ()
    if conditions and list(conditions) != list(before.get("matchConditions") or ()):
        errors += validate_match_conditions(
            conditions, f"{path}.matchConditions", Environment().compile_condition
        )
    return errors


def _validate_name(name: str, path: str) -> list[FieldError]:
    if not name:
        return [required(path)]
    if errors := check_text(name, path, find_subdomain_faults):
        return errors
    if len(name.split(".")) < _LEAST_PARTS:
        return [
            invalid_value(path, name, "should be a domain with at least three segments separated by dots")
        ]
    return []

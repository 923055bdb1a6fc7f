"""Bindings of admission policies. Source: kubernetes/pkg/apis/admissionregistration/validation v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import duplicate, forbidden_field, invalid_value, not_supported, required
from k3py.api.names import find_label_faults, find_subdomain_faults
from k3py.api.validation.scalar import check_choice, check_text
from k3py.api.validation.selector import validate_selector

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_ACTIONS: Final = ("Audit", "Deny", "Warn")
_EXCLUSIVE: Final = "name and selector are mutually exclusive"


def validate_binding(spec: JsonObject) -> list[FieldError]:
    """Check the spec of a ValidatingAdmissionPolicyBinding."""
    errors: list[FieldError] = []
    if not spec.get("policyName"):
        errors.append(required("spec.policyName"))
    else:
        errors += check_text(spec["policyName"], "spec.policyName", find_subdomain_faults)
    if spec.get("paramRef") is not None:
        errors += _validate_param_ref(spec["paramRef"], "spec.paramRef")
    if spec.get("matchResources") is not None:
        from k3py.api.validation.admission_rules import validate_match_resources  # noqa: PLC0415 - see the other kinds

        errors += validate_match_resources(spec["matchResources"], "spec.matchResources")
    return errors + _validate_actions(spec.get("validationActions") or [], "spec.validationActions")


def _validate_param_ref(ref: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    name, selector = ref.get("name") or "", ref.get("selector")
    if name:
        errors += check_text(name, f"{path}.name", find_subdomain_faults)
        if selector is not None:
            errors.append(forbidden_field(f"{path}.name", _EXCLUSIVE))
            errors.append(forbidden_field(f"{path}.selector", _EXCLUSIVE))
    if selector is not None:
        errors += validate_selector(selector, f"{path}.selector")
    elif not name:
        errors.append(required(path, "one of name or selector must be specified"))
    if ref.get("namespace"):
        errors += check_text(ref["namespace"], f"{path}.namespace", find_label_faults)
    errors += check_choice(
        ref.get("parameterNotFoundAction"), f"{path}.parameterNotFoundAction", ("Allow", "Deny")
    )
    return errors


def _validate_actions(actions: list[str], path: str) -> list[FieldError]:
    if not actions:
        return [required(path, "at least one validation action is required")]
    errors: list[FieldError] = []
    for index, one in enumerate(actions):
        if one not in _ACTIONS:
            errors.append(not_supported(f"{path}[{index}]", one, _ACTIONS))
        if one in actions[:index]:
            errors.append(duplicate(f"{path}[{index}]", one))
    if "Deny" in actions and "Warn" in actions:
        text = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)"
        errors.append(invalid_value(path, list(actions), text))
    return errors

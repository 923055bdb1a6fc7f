"""Admission policies. Source: kubernetes/pkg/apis/admissionregistration/validation v1.35."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from k3py.api.cel.admission import Environment
from k3py.api.cel.declarations import RESERVED
from k3py.api.cel.errors import CompilationFault
from k3py.api.fielderror import duplicate, invalid_value, not_supported, required
from k3py.api.names import find_dns1035_faults, find_qualified_name_faults
from k3py.api.validation.admission_rules import (
    FAILURE_POLICIES,
    check_expression,
    validate_match_conditions,
    validate_match_resources,
)
from k3py.api.validation.scalar import check_choice, check_text

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_REASONS: Final = ("Forbidden", "Invalid", "RequestEntityTooLarge")
_IDENTIFIER: Final = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*\Z")
_MOST_ANNOTATIONS: Final = 20
_MOST_ANNOTATION: Final = 5 * 1024
_NOTHING: Final = "validations or auditAnnotations must contain at least one item"


def validate_policy(obj: JsonObject, old: JsonObject | None) -> list[FieldError]:
    """Check a ValidatingAdmissionPolicy; `old` None = it is new."""
    spec = obj.get("spec") or {}
    if old is not None and spec == (old.get("spec") or {}):
        return []
    errors = check_choice(spec.get("failurePolicy"), "spec.failurePolicy", FAILURE_POLICIES)
    kind = spec.get("paramKind")
    if kind is not None:
        errors += _validate_param_kind(kind, "spec.paramKind")
    match = spec.get("matchConstraints")
    if match is None:
        errors.append(required("spec.matchConstraints"))
    else:
        errors += validate_match_resources(match, "spec.matchConstraints")
        if not match.get("resourceRules"):
            errors.append(required("spec.matchConstraints.resourceRules"))
    environment = Environment(has_params=kind is not None)
    errors += validate_match_conditions(
        spec.get("matchConditions") or (), "spec.matchConditions", environment.compile_condition
    )
    for index, one in enumerate(spec.get("variables") or ()):
        errors += _validate_variable(one, f"spec.variables[{index}]", environment)
    validations, annotations = spec.get("validations") or (), spec.get("auditAnnotations") or ()
    if not validations and not annotations:
        errors += [required("spec.validations", _NOTHING), required("spec.auditAnnotations", _NOTHING)]
    for index, one in enumerate(validations):
        errors += _validate_validation(one, f"spec.validations[{index}]", environment)
    if len(annotations) > _MOST_ANNOTATIONS:
        text = f"must not have more than {_MOST_ANNOTATIONS} auditAnnotations"
        errors.append(invalid_value("spec.auditAnnotations", list(annotations), text))
    name = obj["metadata"].get("name") or ""
    keys: set[str] = set()
    for index, one in enumerate(annotations):
        path, key = f"spec.auditAnnotations[{index}]", one.get("key") or ""
        errors += _validate_annotation(one, name, path, environment)
        if key and key in keys:
            errors.append(duplicate(f"{path}.key", key))
        keys.add(key)
    return errors


def _validate_param_kind(kind: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    version, name = kind.get("apiVersion") or "", kind.get("kind") or ""
    if not version:
        errors.append(required(f"{path}.apiVersion"))
    elif version.count("/") > 1:
        errors.append(
            invalid_value(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}")
        )
    else:
        errors += check_text(version.rpartition("/")[2], f"{path}.apiVersion", find_dns1035_faults)
    if not name:
        errors.append(required(f"{path}.kind"))
    else:
        errors += [
            invalid_value(f"{path}.kind", name, f"may have mixed case, but should otherwise match: {fault}")
            for fault in find_dns1035_faults(name.lower())
        ]
    return errors


def _validate_variable(one: JsonObject, path: str, environment: Environment) -> list[FieldError]:
    name, text = one.get("name") or "", one.get("expression") or ""
    errors: list[FieldError] = []
    if not name:
        errors.append(required(f"{path}.name"))
    elif not _IDENTIFIER.match(name) or name in RESERVED:
        errors.append(invalid_value(f"{path}.name", name, "name is not a valid CEL identifier"))
    if not text.strip():
        return [*errors, required(f"{path}.expression")]
    if errors:
        return errors
    try:
        environment.add_variable(name, text)
    except CompilationFault as fault:
        errors.append(invalid_value(f"{path}.expression", text, f"compilation failed: {fault}"))
    return errors


def _validate_validation(one: JsonObject, path: str, environment: Environment) -> list[FieldError]:
    text, message, words = (one.get(key) or "" for key in ("expression", "message", "messageExpression"))
    errors = check_expression(text, f"{path}.expression", environment.compile_validation)
    if message and not message.strip():
        errors.append(invalid_value(f"{path}.message", message, "message must be non-empty if specified"))
    elif "\n" in message.strip():
        errors.append(invalid_value(f"{path}.message", message, "message must not contain line breaks"))
    elif "\n" in text.strip() and not message.strip():
        errors.append(
            required(f"{path}.message", "message must be specified if expression contains line breaks")
        )
    if words and not words.strip():
        errors.append(invalid_value(f"{path}.messageExpression", words, "must be non-empty if specified"))
    elif words:
        errors += check_expression(words, f"{path}.messageExpression", environment.compile_message)
    reason = one.get("reason")
    if reason is not None and reason not in _REASONS:
        errors.append(not_supported(f"{path}.reason", reason, _REASONS))
    return errors


def _validate_annotation(
    one: JsonObject, policy: str, path: str, environment: Environment
) -> list[FieldError]:
    key, text = one.get("key") or "", one.get("valueExpression") or ""
    errors: list[FieldError] = []
    if not key:
        errors.append(required(f"{path}.key"))
    else:
        errors += [
            invalid_value(f"{path}.key", key, fault)
            for fault in find_qualified_name_faults(f"{policy}/{key}")
        ]
    if len(text.strip()) > _MOST_ANNOTATION:
        errors.append(
            required(f"{path}.valueExpression", f"must not exceed {_MOST_ANNOTATION} bytes in length")
        )
    else:
        errors += check_expression(text, f"{path}.valueExpression", environment.compile_annotation)
    return errors

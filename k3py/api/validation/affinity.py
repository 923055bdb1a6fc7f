"""Where pods may run: node selectors, affinity, spreading, tolerations.

Source: kubernetes/pkg/apis/core/validation/validation.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import duplicate, forbidden_field, invalid_value, not_supported, required
from k3py.api.names import (
    find_label_faults,
    find_label_value_faults,
    find_qualified_name_faults,
    find_subdomain_faults,
)
from k3py.api.validation.scalar import check_known, check_positive, check_text
from k3py.api.validation.selector import validate_selector

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject, JsonValue

_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
_OPERATOR_TEXT: Final = "not a valid selector operator"
EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_WHEN: Final = ("DoNotSchedule", "ScheduleAnyway")
_POLICIES: Final = ("Honor", "Ignore")


def validate_affinity(affinity: JsonObject, path: str) -> list[FieldError]:
    """Check node affinity, pod affinity and pod anti-affinity."""
    errors: list[FieldError] = []
    node = affinity.get("nodeAffinity")
    if node is not None:
        errors += validate_node_affinity(node, f"{path}.nodeAffinity")
    for field in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(field)
        if terms is None:
            continue
        where = f"{path}.{field}"
        for index, term in enumerate(terms.get(_REQUIRED) or ()):
            errors += _validate_pod_term(term, f"{where}.{_REQUIRED}[{index}]")
        for index, term in enumerate(terms.get(_PREFERRED) or ()):
            at = f"{where}.{_PREFERRED}[{index}]"
            errors += _check_weight(term, at)
            errors += _validate_pod_term(term.get("podAffinityTerm") or {}, f"{at}.podAffinityTerm")
    return errors


def validate_node_affinity(node: JsonObject, path: str) -> list[FieldError]:
    """Check the node affinity of a pod."""
    errors: list[FieldError] = []
    if node.get(_REQUIRED) is not None:
        errors += validate_node_selector(node[_REQUIRED], f"{path}.{_REQUIRED}")
    for index, term in enumerate(node.get(_PREFERRED) or ()):
        where = f"{path}.{_PREFERRED}[{index}]"
        errors += _check_weight(term, where)
        errors += _validate_node_term(term.get("preference") or {}, f"{where}.preference")
    return errors


def _check_weight(term: JsonObject, path: str) -> list[FieldError]:
    weight = term.get("weight", 0)
    return (
        [] if 0 < weight <= 100 else [invalid_value(f"{path}.weight", weight, "must be in the range 1-100")]
    )


def validate_node_selector(selector: JsonObject, path: str) -> list[FieldError]:
    """Check a NodeSelector: at least one term."""
    where = f"{path}.nodeSelectorTerms"
    terms = selector.get("nodeSelectorTerms")
    if not terms:
        return [required(where, "must have at least one node selector term")]
    return [
        error for index, term in enumerate(terms) for error in _validate_node_term(term, f"{where}[{index}]")
    ]


def _validate_node_term(term: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, one in enumerate(term.get("matchExpressions") or ()):
        errors += _validate_node_requirement(one, f"{path}.matchExpressions[{index}]")
    for index, one in enumerate(term.get("matchFields") or ()):
        errors += _validate_node_field(one, f"{path}.matchFields[{index}]")
    return errors


def _validate_node_requirement(one: JsonObject, path: str) -> list[FieldError]:
    operator, values = one.get("operator", ""), one.get("values") or ()
    errors: list[FieldError] = []
    match operator:
        case "In" | "NotIn":
            if not values:
                detail = "must be specified when `operator` is 'In' or 'NotIn'"
                errors.append(required(f"{path}.values", detail))
        case "Exists" | "DoesNotExist":
            if values:
                detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                errors.append(forbidden_field(f"{path}.values", detail))
        case "Gt" | "Lt":
            if len(values) != 1:
                detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
                errors.append(required(f"{path}.values", detail))
        case _:
            errors.append(invalid_value(f"{path}.operator", operator, _OPERATOR_TEXT))
    errors += check_text(one.get("key", ""), f"{path}.key", find_qualified_name_faults)
    for index, value in enumerate(values):
        errors += check_text(value, f"{path}.values[{index}]", find_label_value_faults)
    return errors


def _validate_node_field(one: JsonObject, path: str) -> list[FieldError]:
    operator, values = one.get("operator", ""), one.get("values") or ()
    errors: list[FieldError] = []
    if operator not in ("In", "NotIn"):
        errors.append(invalid_value(f"{path}.operator", operator, _OPERATOR_TEXT))
    elif len(values) != 1:
        detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        errors.append(required(f"{path}.values", detail))
    if one.get("key") != "metadata.name":
        return [*errors, invalid_value(f"{path}.key", one.get("key", ""), "not a valid field selector key")]
    for index, value in enumerate(values):
        errors += check_text(value, f"{path}.values[{index}]", find_subdomain_faults)
    return errors


def _validate_pod_term(term: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for field in ("labelSelector", "namespaceSelector"):
        if term.get(field) is not None:
            errors += validate_selector(term[field], f"{path}.{field}")
    for name in term.get("namespaces") or ():
        errors += check_text(name, f"{path}.namespace", find_label_faults)
    errors += _validate_label_keys(term, path)
    key = term.get("topologyKey", "")
    if not key:
        errors.append(required(f"{path}.topologyKey", "can not be empty"))
    return errors + check_text(key, f"{path}.topologyKey", find_qualified_name_faults)


def _validate_label_keys(term: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    others = {"matchLabelKeys": "mismatchLabelKeys", "mismatchLabelKeys": "matchLabelKeys"}
    for field, other in others.items():
        keys = term.get(field) or ()
        where = f"{path}.{field}"
        if keys and term.get("labelSelector") is None:
            errors.append(forbidden_field(where, "must not be specified when labelSelector is not set"))
        for index, key in enumerate(keys):
            errors += check_text(key, f"{where}[{index}]", find_qualified_name_faults)
            if field == "matchLabelKeys" and key in (term.get(other) or ()):
                detail = "exists in both matchLabelKeys and mismatchLabelKeys"
                errors.append(invalid_value(f"{where}[{index}]", key, detail))
    return errors


def validate_spread(constraints: JsonValue, path: str) -> list[FieldError]:
    """Check topologySpreadConstraints."""
    errors: list[FieldError] = []
    for index, one in enumerate(constraints):
        where = f"{path}[{index}]"
        key, when = one.get("topologyKey", ""), one.get("whenUnsatisfiable", "")
        errors += check_positive(one.get("maxSkew", 0), f"{where}.maxSkew")
        if key:
            errors += check_text(key, f"{where}.topologyKey", find_qualified_name_faults)
        else:
            errors.append(required(f"{where}.topologyKey", "can not be empty"))
        errors += check_known(when, f"{where}.whenUnsatisfiable", _WHEN)
        for other in constraints[index + 1 :]:
            if (other.get("topologyKey", ""), other.get("whenUnsatisfiable", "")) == (key, when):
                at = f"{where}.{{topologyKey, whenUnsatisfiable}}"
                errors.append(duplicate(at, f"{{{key}, {when}}}"))
        errors += _validate_min_domains(one, where)
        for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            if one.get(field) is not None:
                errors += check_known(one[field], f"{where}.{field}", _POLICIES)
        keys = one.get("matchLabelKeys") or ()
        if keys and one.get("labelSelector") is None:
            detail = "must not be specified when labelSelector is not set"
            errors.append(forbidden_field(f"{where}.matchLabelKeys", detail))
        for number, name in enumerate(keys):
            errors += check_text(name, f"{where}.matchLabelKeys[{number}]", find_qualified_name_faults)
        if one.get("labelSelector") is not None:
            errors += validate_selector(one["labelSelector"], f"{where}.labelSelector")
    return errors


def _validate_min_domains(constraint: JsonObject, path: str) -> list[FieldError]:
    domains = constraint.get("minDomains")
    if domains is None:
        return []
    errors = check_positive(domains, f"{path}.minDomains")
    if constraint.get("whenUnsatisfiable") != "DoNotSchedule":
        detail = "can only use minDomains if whenUnsatisfiable=DoNotSchedule"
        errors.append(invalid_value(f"{path}.minDomains", domains, detail))
    return errors


def validate_tolerations(tolerations: JsonValue, path: str) -> list[FieldError]:
    """Check what taints a pod puts up with."""
    errors: list[FieldError] = []
    for index, one in enumerate(tolerations):
        where = f"{path}[{index}]"
        key, operator, value = one.get("key", ""), one.get("operator", ""), one.get("value", "")
        if key:
            errors += check_text(key, f"{where}.key", find_qualified_name_faults)
        elif operator != "Exists":
            detail = (
                'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            )
            errors.append(invalid_value(f"{where}.operator", operator, detail))
        if one.get("tolerationSeconds") is not None and one.get("effect") != "NoExecute":
            detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            errors.append(invalid_value(f"{where}.effect", one.get("effect", ""), detail))
        match operator:
            case "Equal" | "":
                errors += check_text(value, f"{where}.operator", find_label_value_faults)
            case "Exists":
                if value:
                    detail = "value must be empty when `operator` is 'Exists'"
                    errors.append(invalid_value(f"{where}.operator", value, detail))
            case _:
                errors.append(not_supported(f"{where}.operator", operator, ("Equal", "Exists")))
        if one.get("effect"):
            errors += check_known(one["effect"], f"{where}.effect", EFFECTS)
    return errors

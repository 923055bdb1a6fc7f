"""Specs of FlowSchemas and PriorityLevelConfigurations. Source: kubernetes/pkg/apis/flowcontrol/validation/validation.go v1.35."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import duplicate, forbidden_field, invalid_value, not_supported, required
from k3py.api.flow_control import EXEMPT, fixed_level_spec, fixed_schema_spec
from k3py.api.names import find_label_faults, find_subdomain_faults
from k3py.api.validation.scalar import check_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_HIGHEST_PRECEDENCE: Final = 10000
_DISTINGUISHERS: Final = ("ByNamespace", "ByUser")
# Kind of a subject → its field.
_SUBJECTS: Final = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}
_VERBS: Final = (
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "proxy",
    "update",
    "watch",
)
_MOST_QUEUES: Final = 10_000_000
_MOST_ENTROPY_BITS: Final = 60
_WHOLE: Final = 100


def validate_flow_schema(obj: JsonObject) -> list[FieldError]:
    """Check a whole FlowSchema, what its name demands included."""
    spec, name = obj.get("spec") or {}, obj["metadata"].get("name", "")
    precedence = spec.get("matchingPrecedence", 0)
    errors: list[FieldError] = []
    path = "spec.matchingPrecedence"
    if precedence <= 0:
        errors.append(invalid_value(path, precedence, "must be a positive value"))
    if precedence > _HIGHEST_PRECEDENCE:
        detail = f"must not be greater than {_HIGHEST_PRECEDENCE}"
        errors.append(invalid_value(path, precedence, detail))
    if precedence == 1 and name != EXEMPT:
        detail = "only the schema named 'exempt' may have matchingPrecedence 1"
        errors.append(invalid_value(path, precedence, detail))
    method = spec.get("distinguisherMethod")
    if method is not None and method.get("type", "") not in _DISTINGUISHERS:
        errors.append(not_supported("spec.distinguisherMethod.type", method.get("type", ""), _DISTINGUISHERS))
    level = (spec.get("priorityLevelConfiguration") or {}).get("name", "")
    path = "spec.priorityLevelConfiguration.name"
    errors += (
        check_text(level, path, find_subdomain_faults)
        if level
        else [required(path, "must reference a priority level")]
    )
    for index, rule in enumerate(spec.get("rules") or ()):
        errors += _validate_rule(rule, f"spec.rules[{index}]")
    return errors + _check_fixed(spec, fixed_schema_spec(name), name) + _check_conditions(obj)


def _check_fixed(spec: JsonObject, fixed: JsonObject | None, name: str) -> list[FieldError]:
    if fixed is None or spec == fixed:
        return []
    return [invalid_value("spec", spec, f"spec of '{name}' must equal the fixed value")]


def _check_conditions(obj: JsonObject) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, condition in enumerate((obj.get("status") or {}).get("conditions") or ()):
        path, kind = f"status.conditions[{index}].type", condition.get("type", "")
        if kind in seen:
            errors.append(duplicate(path, kind))
        seen.add(kind)
        if not kind:
            errors.append(required(path, "must not be empty"))
    return errors


validate_flow_status = _check_conditions


def _validate_rule(rule: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    subjects = rule.get("subjects") or ()
    if not subjects:
        errors.append(required(f"{path}.subjects", "subjects must contain at least one value"))
    for index, subject in enumerate(subjects):
        errors += _validate_subject(subject, f"{path}.subjects[{index}]")
    resources, others = rule.get("resourceRules") or (), rule.get("nonResourceRules") or ()
    if not resources and not others:
        detail = "at least one of resourceRules and nonResourceRules has to be non-empty"
        errors.append(required(path, detail))
    for index, one in enumerate(resources):
        errors += _validate_resource_rule(one, f"{path}.resourceRules[{index}]")
    for index, one in enumerate(others):
        where = f"{path}.nonResourceRules[{index}]"
        errors += _check_verbs(one.get("verbs") or (), f"{where}.verbs")
        errors += _check_urls(one.get("nonResourceURLs") or (), f"{where}.nonResourceURLs")
    return errors


def _validate_subject(subject: JsonObject, path: str) -> list[FieldError]:
    kind = subject.get("kind", "")
    if kind not in _SUBJECTS:
        return [not_supported(f"{path}.kind", kind, tuple(_SUBJECTS))]
    errors: list[FieldError] = []
    for other, field in _SUBJECTS.items():
        if other != kind and subject.get(field) is not None:
            detail = f"{field} is forbidden when subject kind is not '{other}'"
            errors.append(forbidden_field(f"{path}.{field}", detail))
    field = _SUBJECTS[kind]
    path = f"{path}.{field}"
    who = subject.get(field)
    if who is None:
        return [*errors, required(path, f"{field} is required when subject kind is '{kind}'")]
    name = who.get("name", "")
    if not name:
        errors.append(required(f"{path}.name"))
    if kind != "ServiceAccount":
        return errors
    if name and name != "*":
        errors += check_text(name, f"{path}.name", find_subdomain_faults)
    namespace = who.get("namespace", "")
    if not namespace:
        return [*errors, required(f"{path}.namespace", "must specify namespace for service account")]
    return errors + check_text(namespace, f"{path}.namespace", find_label_faults)


def _validate_resource_rule(rule: JsonObject, path: str) -> list[FieldError]:
    errors = _check_verbs(rule.get("verbs") or (), f"{path}.verbs")
    for field in ("apiGroups", "resources"):
        values = rule.get(field) or ()
        if not values:
            errors.append(required(f"{path}.{field}", f"resource rules must supply at least one of {field}"))
        errors += _check_alone(values, f"{path}.{field}")
    namespaces = rule.get("namespaces") or ()
    path = f"{path}.namespaces"
    if not namespaces and not rule.get("clusterScope"):
        detail = "resource rules that are not cluster scoped must supply at least one namespace"
        errors.append(required(path, detail))
    if "*" in namespaces:
        return errors + _check_alone(namespaces, path)
    for index, namespace in enumerate(namespaces):
        errors += check_text(namespace, f"{path}[{index}]", find_label_faults)
    return errors


def _check_alone(values: Sequence[str], path: str) -> list[FieldError]:
    if "*" in values and len(values) > 1:
        return [invalid_value(path, list(values), "if '*' is present, must not specify others")]
    return []


def _check_verbs(verbs: Sequence[str], path: str) -> list[FieldError]:
    if not verbs:
        return [required(path, "verbs must contain at least one value")]
    if "*" in verbs:
        return _check_alone(verbs, path)
    if any(verb not in _VERBS for verb in verbs):
        return [not_supported(path, list(verbs), _VERBS)]
    return []


def _check_urls(urls: Sequence[str], path: str) -> list[FieldError]:
    if not urls:
        return [required(path, "nonResourceURLs must contain at least one value")]
    if "*" in urls:
        return _check_alone(urls, path)
    return [
        invalid_value(f"{path}[{index}]", url, fault)
        for index, url in enumerate(urls)
        if (fault := _find_url_fault(url))
    ]


def _find_url_fault(url: str) -> str:
    if not url:
        return "must not be empty"
    if not url.startswith("/"):
        return "must start with slash"
    if " " in url:
        return "must not contain white-space"
    if "//" in url:
        return "must not contain double slash"
    star = url.find("*")
    if star >= 0 and (star != len(url) - 1 or url[star - 1] != "/"):
        return "wildcard can only do suffix matching"
    return ""


def validate_priority_level(obj: JsonObject) -> list[FieldError]:
    """Check a whole PriorityLevelConfiguration, what its name demands included."""
    spec, name = obj.get("spec") or {}, obj["metadata"].get("name", "")
    kind = spec.get("type", "")
    errors: list[FieldError] = []
    if (name == EXEMPT) != (kind == "Exempt") and kind in ("Exempt", "Limited"):
        detail = "type must be 'Exempt' if and only if name is 'exempt'"
        errors.append(invalid_value("spec.type", kind, detail))
    limited, exempt = spec.get("limited"), spec.get("exempt")
    match kind:
        case "Exempt":
            if limited is not None:
                errors.append(forbidden_field("spec.limited", "must be nil if the type is not Limited"))
            if exempt is not None:
                errors += _check_shares(exempt, "spec.exempt")
        case "Limited":
            if exempt is not None:
                errors.append(forbidden_field("spec.exempt", "must be nil if the type is Limited"))
            if limited is None:
                errors.append(required("spec.limited", "must not be empty when type is Limited"))
            else:
                errors += _validate_limited(limited, "spec.limited")
        case _:
            errors.append(not_supported("spec.type", kind, ("Exempt", "Limited")))
    return errors + _check_fixed(spec, fixed_level_spec(name), name) + _check_conditions(obj)


def _check_shares(part: JsonObject, path: str) -> list[FieldError]:
    shares, lent = part.get("nominalConcurrencyShares"), part.get("lendablePercent")
    errors: list[FieldError] = []
    if shares is not None and shares < 0:
        errors.append(
            invalid_value(f"{path}.nominalConcurrencyShares", shares, "must be a non-negative integer")
        )
    if lent is not None and not 0 <= lent <= _WHOLE:
        errors.append(invalid_value(f"{path}.lendablePercent", lent, "must be between 0 and 100, inclusive"))
    return errors


def _validate_limited(limited: JsonObject, path: str) -> list[FieldError]:
    errors = _check_shares(limited, path)
    borrowed = limited.get("borrowingLimitPercent")
    if borrowed is not None and borrowed < 0:
        detail = "if specified, must be a non-negative integer"
        errors.append(invalid_value(f"{path}.borrowingLimitPercent", borrowed, detail))
    response = limited.get("limitResponse") or {}
    path = f"{path}.limitResponse"
    kind, queuing = response.get("type", ""), response.get("queuing")
    match kind:
        case "Reject":
            if queuing is not None:
                detail = "must be nil if limited.limitResponse.type is not Limited"
                errors.append(forbidden_field(f"{path}.queuing", detail))
        case "Queue":
            if queuing is None:
                detail = "must not be empty if limited.limitResponse.type is Limited"
                errors.append(required(f"{path}.queuing", detail))
            else:
                errors += _validate_queuing(queuing, f"{path}.queuing")
        case _:
            errors.append(not_supported(f"{path}.type", kind, ("Queue", "Reject")))
    return errors


def _validate_queuing(queuing: JsonObject, path: str) -> list[FieldError]:
    length, queues, hand = (queuing.get(field, 0) for field in ("queueLengthLimit", "queues", "handSize"))
    errors: list[FieldError] = []
    positive = "must be positive"
    if length <= 0:
        errors.append(invalid_value(f"{path}.queueLengthLimit", length, positive))
    if queues <= 0:
        errors.append(invalid_value(f"{path}.queues", queues, positive))
    elif queues > _MOST_QUEUES:
        errors.append(invalid_value(f"{path}.queues", queues, f"must not be greater than {_MOST_QUEUES}"))
    if hand <= 0:
        errors.append(invalid_value(f"{path}.handSize", hand, positive))
    elif hand > queues:
        errors.append(
            invalid_value(f"{path}.handSize", hand, f"should not be greater than queues ({queues})")
        )
    elif (bits := math.ceil(math.log2(queues) * hand)) > _MOST_ENTROPY_BITS:
        detail = (
            f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than "
            f"{_MOST_ENTROPY_BITS}, and are {bits}"
        )
        errors.append(invalid_value(f"{path}.handSize", hand, detail))
    return errors

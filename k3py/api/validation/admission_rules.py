"""What admission webhooks and policies say they look at. Source: kubernetes/pkg/apis/admissionregistration/validation v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.cel.errors import CompilationFault
from k3py.api.fielderror import duplicate, invalid_value, not_supported, required
from k3py.api.names import find_path_segment_faults, find_qualified_name_faults
from k3py.api.validation.scalar import check_text, too_many
from k3py.api.validation.selector import validate_selector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

FAILURE_POLICIES: Final = ("Fail", "Ignore")
MATCH_POLICIES: Final = ("Equivalent", "Exact")
_OPERATIONS: Final = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES: Final = ("*", "Cluster", "Namespaced")
_MOST_CONDITIONS: Final = 64


def validate_rule(rule: JsonObject, path: str) -> list[FieldError]:
    """Check operations, groups, versions, resources and scope of a rule."""
    operations = rule.get("operations") or []
    errors = _validate_list(operations, f"{path}.operations", may_be_empty=True)
    errors += [
        not_supported(f"{path}.operations[{index}]", one, _OPERATIONS)
        for index, one in enumerate(operations)
        if one not in _OPERATIONS
    ]
    errors += _validate_list(rule.get("apiGroups") or [], f"{path}.apiGroups", may_be_empty=True)
    errors += _validate_list(rule.get("apiVersions") or [], f"{path}.apiVersions", may_be_empty=False)
    errors += _validate_resources(rule.get("resources") or [], f"{path}.resources")
    scope = rule.get("scope")
    if scope is not None and scope not in _SCOPES:
        errors.append(not_supported(f"{path}.scope", scope, _SCOPES))
    return errors


def _validate_list(values: Sequence[str], path: str, *, may_be_empty: bool) -> list[FieldError]:
    """A list with a wildcard holds nothing else."""
    if not values:
        return [required(path)]
    errors = []
    if len(values) > 1 and "*" in values:
        errors.append(invalid_value(path, list(values), "if '*' is present, must not specify other values"))
    if not may_be_empty:
        errors += [required(f"{path}[{index}]") for index, one in enumerate(values) if not one]
    return errors


def _validate_resources(values: Sequence[str], path: str) -> list[FieldError]:
    """Nothing may stand beside a wildcard that covers it."""
    if not values:
        return [required(path)]
    errors: list[FieldError] = []
    whole: set[str] = set()  # resources given as x/*
    everywhere: set[str] = set()  # subresources given as */x
    for index, one in enumerate(values):
        if not one:
            errors.append(required(f"{path}[{index}]"))
            continue
        resource, slash, sub = one.partition("/")
        if not slash:
            continue
        if resource in whole:
            errors.append(
                invalid_value(
                    f"{path}[{index}]", one, f"if '{resource}/*' is present, must not specify {one}"
                )
            )
        if sub in everywhere:
            errors.append(
                invalid_value(f"{path}[{index}]", one, f"if '*/{sub}' is present, must not specify {one}")
            )
        if sub == "*":
            whole.add(resource)
        if resource == "*":
            everywhere.add(sub)
    if len(values) > 1 and "*/*" in values:
        errors.append(
            invalid_value(path, list(values), "if '*/*' is present, must not specify other resources")
        )
    if "*" in values and any(one and one != "*" and "/" not in one for one in values):
        text = "if '*' is present, must not specify other resources without subresources"
        errors.append(invalid_value(path, list(values), text))
    return errors


def validate_match_resources(match: JsonObject, path: str) -> list[FieldError]:
    """Check matchConstraints of a policy, or matchResources of a binding."""
    policy = match.get("matchPolicy")
    errors = []
    if policy not in MATCH_POLICIES:
        errors.append(
            not_supported(f"{path}.matchPolicy", policy, MATCH_POLICIES)
            if policy
            else required(f"{path}.matchPolicy")
        )
    for key in ("namespaceSelector", "objectSelector"):
        if match.get(key) is None:
            errors.append(required(f"{path}.{key}"))
        else:
            errors += validate_selector(match[key], f"{path}.{key}")
    for key in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(match.get(key) or ()):
            where = f"{path}.{key}[{index}]"
            errors += validate_rule(rule, where)
            names = rule.get("resourceNames") or ()
            for number, name in enumerate(names):
                errors += check_text(name, f"{where}.resourceNames[{number}]", find_path_segment_faults)
                if name in names[:number]:
                    errors.append(duplicate(f"{where}.resourceNames[{number}]", name))
    return errors


def validate_match_conditions(
    conditions: Sequence[JsonObject], path: str, compile_text: Callable[[str], object]
) -> list[FieldError]:
    """Check matchConditions; `compile_text` raises CompilationFault for an expression that is none."""
    errors: list[FieldError] = []
    if len(conditions) > _MOST_CONDITIONS:
        errors.append(too_many(path, _MOST_CONDITIONS, len(conditions)))
    seen: set[str] = set()
    for index, one in enumerate(conditions):
        where = f"{path}[{index}]"
        errors += check_expression(one.get("expression") or "", f"{where}.expression", compile_text)
        name = one.get("name") or ""
        if not name:
            errors.append(required(f"{where}.name"))
        else:
            errors += check_text(name, f"{where}.name", find_qualified_name_faults)
            if name in seen:
                errors.append(duplicate(f"{where}.name", name))
        seen.add(name)
    return errors


def check_expression(text: str, path: str, compile_text: Callable[[str], object]) -> list[FieldError]:
    """An expression must be there and compile."""
    if not text.strip():
        return [required(path)]
    try:
        compile_text(text)
    except CompilationFault as fault:
        return [invalid_value(path, text, f"compilation failed: {fault}")]
    return []

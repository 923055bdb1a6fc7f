"""Rules and bindings. Source: kubernetes/pkg/apis/rbac/validation v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import invalid_value, not_supported, required
from k3py.api.names import find_path_segment_faults, find_subdomain_faults
from k3py.api.validation.scalar import check_text
from k3py.api.validation.selector import validate_selector

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

RBAC_GROUP: Final = "rbac.authorization.k8s.io"


def validate_rules(obj: JsonObject, *, namespaced: bool) -> list[FieldError]:
    """Check every rule of a role."""
    errors: list[FieldError] = []
    for index, rule in enumerate(obj.get("rules") or ()):
        path = f"rules[{index}]"
        if not rule.get("verbs"):
            errors.append(required(f"{path}.verbs", "verbs must contain at least one value"))
        if rule.get("nonResourceURLs"):
            if namespaced:
                errors.append(
                    invalid_value(
                        f"{path}.nonResourceURLs",
                        rule["nonResourceURLs"],
                        "namespaced rules cannot apply to non-resource URLs",
                    )
                )
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                errors.append(
                    invalid_value(
                        f"{path}.nonResourceURLs",
                        rule["nonResourceURLs"],
                        "rules cannot apply to both regular resources and non-resource URLs",
                    )
                )
            continue
        if not rule.get("apiGroups"):
            errors.append(required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
        if not rule.get("resources"):
            errors.append(required(f"{path}.resources", "resource rules must supply at least one resource"))
    return errors


def validate_aggregation(obj: JsonObject) -> list[FieldError]:
    """Check by which labels a cluster role gathers the rules of others."""
    rule = obj.get("aggregationRule")
    if rule is None:
        return []
    path = "aggregationRule.clusterRoleSelectors"
    selectors = rule.get("clusterRoleSelectors")
    if not selectors:
        return [required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil")]
    errors: list[FieldError] = []
    for index, selector in enumerate(selectors):
        faults = validate_selector(selector, f"{path}[{index}]")
        if faults:
            errors.append(invalid_value(f"{path}[{index}]", selector, "invalid label selector."))
        errors += faults
    return errors


def validate_binding(obj: JsonObject, *, namespaced: bool) -> list[FieldError]:
    """Check the role and the subjects of a binding."""
    errors: list[FieldError] = []
    role = obj.get("roleRef") or {}
    kinds = ("Role", "ClusterRole") if namespaced else ("ClusterRole",)
    if role.get("apiGroup") != RBAC_GROUP:
        errors.append(not_supported("roleRef.apiGroup", role.get("apiGroup", ""), (RBAC_GROUP,)))
    if role.get("kind") not in kinds:
        errors.append(not_supported("roleRef.kind", role.get("kind", ""), kinds))
    if role.get("name"):
        errors += check_text(role["name"], "roleRef.name", find_path_segment_faults)
    else:
        errors.append(required("roleRef.name"))
    for index, subject in enumerate(obj.get("subjects") or ()):
        errors += _validate_subject(subject, f"subjects[{index}]", namespaced=namespaced)
    return errors


def validate_same_role(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """A binding keeps its role."""
    role = new.get("roleRef") or {}
    if role == (old.get("roleRef") or {}):
        return []
    # The names of the internal type, which upstream shows.
    shown = {"APIGroup": role.get("apiGroup", ""), "Kind": role.get("kind", ""), "Name": role.get("name", "")}
    return [invalid_value("roleRef", shown, "cannot change roleRef")]


def _validate_subject(subject: JsonObject, path: str, *, namespaced: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    if not subject.get("name"):
        errors.append(required(f"{path}.name"))
    kind, group = subject.get("kind", ""), subject.get("apiGroup", "")
    match kind:
        case "ServiceAccount":
            if subject.get("name"):
                errors += check_text(subject["name"], f"{path}.name", find_subdomain_faults)
            if group:
                errors.append(not_supported(f"{path}.apiGroup", group, ("",)))
            if not namespaced and not subject.get("namespace"):
                errors.append(required(f"{path}.namespace"))
        case "User" | "Group":
            if group != RBAC_GROUP:
                errors.append(not_supported(f"{path}.apiGroup", group, (RBAC_GROUP,)))
        case _:
            errors.append(not_supported(f"{path}.kind", kind, ("ServiceAccount", "User", "Group")))
    return errors

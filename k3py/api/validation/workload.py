"""What Deployments, ReplicaSets and their kin have in common. Source: kubernetes/pkg/apis/apps/validation v1.35."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import forbidden_field, invalid_value, not_supported, required
from k3py.api.selectors import SelectorError, selector_from_object
from k3py.api.validation.pod_spec import validate_pod_template
from k3py.api.validation.scalar import IMMUTABLE, NEGATIVE, check_non_negative
from k3py.api.validation.selector import validate_selector

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject, JsonValue

_PERCENT: Final = re.compile(r"\d+%\Z")
_PERCENT_TEXT: Final = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
    "validation is '[0-9]+%')"
)
_MISMATCH: Final = "`selector` does not match template `labels`"


def validate_workload(spec: JsonObject, *, what: str) -> list[FieldError]:
    """Check selector and pod template; `what`: the kind in lower case, for sentences."""
    selector = spec.get("selector")
    errors: list[FieldError] = []
    if selector is None:
        errors.append(required("spec.selector"))
    else:
        errors += check_selector(selector, what=what)
    try:
        matches = selector_from_object(selector).matches(labels_of_template(spec))
    except SelectorError as error:
        return [*errors, invalid_value("spec.selector", selector, f"invalid label selector: {error}")]
    if any(one.path.endswith((".values", ".operator")) for one in errors):
        return [*errors, invalid_value("spec.selector", selector, "invalid label selector")]
    return errors + validate_template(spec, matches=matches)


def check_selector(selector: JsonObject, *, what: str) -> list[FieldError]:
    """Check a selector, which must not select everything."""
    errors = validate_selector(selector, "spec.selector")
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        errors.append(invalid_value("spec.selector", selector, f"empty selector is invalid for {what}"))
    return errors


def labels_of_template(spec: JsonObject) -> JsonObject:
    """Return the labels that the pods of a workload get."""
    template: JsonObject = spec.get("template") or {}
    return (template.get("metadata") or {}).get("labels") or {}


def validate_template(spec: JsonObject, *, matches: bool) -> list[FieldError]:
    """Check the template of pods that always run; `matches`: the selector selects them."""
    path = "spec.template"
    template = spec.get("template") or {}
    errors: list[FieldError] = []
    if not matches:
        errors.append(invalid_value(f"{path}.metadata.labels", labels_of_template(spec), _MISMATCH))
    errors += validate_pod_template(template, path)
    pod = template.get("spec") or {}
    if pod.get("restartPolicy", "Always") != "Always":
        errors.append(not_supported(f"{path}.spec.restartPolicy", pod["restartPolicy"], ("Always",)))
    if pod.get("activeDeadlineSeconds") is not None:
        detail = "activeDeadlineSeconds in ReplicaSet is not Supported"
        errors.append(forbidden_field(f"{path}.spec.activeDeadlineSeconds", detail))
    return errors


def check_selector_kept(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """The selector of a workload stays. Both are whole objects."""
    selector = (new.get("spec") or {}).get("selector")
    if selector == (old.get("spec") or {}).get("selector"):
        return []
    return [invalid_value("spec.selector", selector, IMMUTABLE)]


def check_counts(fields: JsonObject, path: str, names: Iterable[str]) -> list[FieldError]:
    """None of the named numbers is negative."""
    return [error for name in names for error in check_non_negative(fields.get(name), f"{path}.{name}")]


def check_replica_counts(status: JsonObject, parts: Sequence[str]) -> list[FieldError]:
    """No part of the replicas is larger than all, and available ones are ready."""
    total = status.get("replicas") or 0
    errors = [
        invalid_value(f"status.{name}", status.get(name, 0), "cannot be greater than status.replicas")
        for name in parts
        if (status.get(name) or 0) > total
    ]
    available, ready = status.get("availableReplicas") or 0, status.get("readyReplicas") or 0
    if available > ready:
        detail = "cannot be greater than readyReplicas"
        errors.append(invalid_value("status.availableReplicas", available, detail))
    return errors


def check_collisions(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """The count of name collisions only grows. Both are statuses."""
    before, after = old.get("collisionCount"), new.get("collisionCount")
    path = "status.collisionCount"
    errors = check_non_negative(after, path)
    if before is not None and (after is None or after < before):
        errors.append(invalid_value(path, after, "cannot be decremented"))
    return errors


def check_share(value: JsonValue, path: str) -> list[FieldError]:
    """A number or percentage of pods."""
    if isinstance(value, int):
        return [invalid_value(path, value, NEGATIVE)] if value < 0 else []
    return [] if _PERCENT.match(str(value)) else [invalid_value(path, value, _PERCENT_TEXT)]


def check_at_most_all(value: JsonValue, path: str) -> list[FieldError]:
    """A percentage is not above 100."""
    if isinstance(value, str) and _PERCENT.match(value) and int(value[:-1]) > 100:
        return [invalid_value(path, value, "must not be greater than 100%")]
    return []


def is_zero(value: JsonValue) -> bool:
    """Say whether a share is 0 or 0%."""
    return value == 0 or (isinstance(value, str) and bool(_PERCENT.match(value)) and int(value[:-1]) == 0)

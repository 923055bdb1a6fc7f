"""What Deployments, ReplicaSets and their kin have in common. Source: kubernetes/pkg/apis/apps/validation v1.35."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import invalid_value, not_supported, required
from k3py.api.selectors import SelectorError, selector_from_object
from k3py.api.validation.pod_spec import validate_pod_template
from k3py.api.validation.selector import validate_selector

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject, JsonValue

_PERCENT: Final = re.compile(r"\d+%\Z")
_NEGATIVE: Final = "must be greater than or equal to 0"


def validate_workload(obj: JsonObject) -> list[FieldError]:
    """Check numbers, selector and pod template."""
    spec = obj.get("spec") or {}
    errors = validate_counts(spec, "spec")
    selector = spec.get("selector")
    if selector is None:
        errors.append(required("spec.selector"))
    else:
        errors += validate_selector(selector, "spec.selector")
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            errors.append(
                invalid_value("spec.selector", selector, "empty selector is invalid for deployment")
            )
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    if selector and not errors:
        try:
            matches = selector_from_object(selector).matches(labels)
        except SelectorError:
            matches = False
        if not matches:
            errors.append(
                invalid_value(
                    "spec.template.metadata.labels", labels, "`selector` does not match template `labels`"
                )
            )
    pod = template.get("spec") or {}
    errors += validate_pod_template(template, "spec.template")
    if pod.get("restartPolicy", "Always") != "Always":
        errors.append(not_supported("spec.template.spec.restartPolicy", pod["restartPolicy"], ("Always",)))
    if pod.get("activeDeadlineSeconds") is not None:
        from k3py.api.fielderror import forbidden_field  # noqa: PLC0415 - rarely needed

        errors.append(
            forbidden_field(
                "spec.template.spec.activeDeadlineSeconds",
                "activeDeadlineSeconds in ReplicaSet is not Supported",
            )
        )
    return errors


def validate_counts(fields: JsonObject, path: str) -> list[FieldError]:
    """Check that every integer is not negative."""
    return [
        invalid_value(f"{path}.{name}", value, _NEGATIVE)
        for name, value in fields.items()
        if isinstance(value, int) and not isinstance(value, bool) and value < 0
    ]


def validate_share(value: JsonValue, path: str) -> list[FieldError]:
    """Check a number or percentage of pods."""
    if isinstance(value, int):
        return [invalid_value(path, value, _NEGATIVE)] if value < 0 else []
    if not _PERCENT.match(str(value)):
        return [
            invalid_value(
                path,
                value,
                "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
            )
        ]
    if path.endswith("maxUnavailable") and int(str(value)[:-1]) > 100:
        return [invalid_value(path, value, "must not be greater than 100%")]
    return []


def is_zero(value: JsonValue) -> bool:
    """Say whether a share is 0 or 0%."""
    return value in (0, "0%")

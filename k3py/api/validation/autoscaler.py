"""Specs of HorizontalPodAutoscalers in their v2 form. Source: kubernetes/pkg/apis/autoscaling/validation/validation.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import forbidden_field, invalid_value, not_supported, required
from k3py.api.names import find_label_faults, find_path_segment_faults
from k3py.api.quantity import parse_quantity
from k3py.api.validation.resources import check_resource_name
from k3py.api.validation.scalar import NOT_POSITIVE, check_text

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject, JsonValue

# Type of a metric → its field, in the order in which fields are looked at.
METRIC_FIELDS: Final = {
    "Object": "object",
    "External": "external",
    "Pods": "pods",
    "Resource": "resource",
    "ContainerResource": "containerResource",
}
_TARGETS: Final = ("Utilization", "Value", "AverageValue")
_SELECTIONS: Final = ("Disabled", "Max", "Min")
_POLICIES: Final = ("Percent", "Pods")
_LONGEST_PERIOD_S: Final = 1800
_LONGEST_WINDOW_S: Final = 3600


def validate_autoscaler(spec: JsonObject, old: JsonObject | None) -> list[FieldError]:
    """Check a spec; `old` is the one before an update, whose liberties stay."""
    errors: list[FieldError] = []
    least, most = spec.get("minReplicas"), spec.get("maxReplicas", 0)
    lowest = 0 if old is not None and old.get("minReplicas") == 0 else 1
    if least is not None and least < lowest:
        errors.append(invalid_value("spec.minReplicas", least, f"must be greater than or equal to {lowest}"))
    if most < 1:
        errors.append(invalid_value("spec.maxReplicas", most, NOT_POSITIVE))
    if least is not None and most < least:
        errors.append(
            invalid_value("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
        )
    target = spec.get("scaleTargetRef") or {}
    before = (old or {}).get("scaleTargetRef") or {}
    path = "spec.scaleTargetRef"
    errors += _check_reference(target, path)
    if old is None or any(target.get(key, "") != before.get(key, "") for key in ("apiVersion", "kind")):
        # The one kind of the core group that scales.
        errors += _check_api_version(target, path, grouped=target.get("kind") != "ReplicationController")
    errors += _validate_metrics(spec)
    for rules in ("scaleUp", "scaleDown"):
        found = (spec.get("behavior") or {}).get(rules)
        if found is not None:
            errors += _validate_rules(found, f"spec.behavior.{rules}")
    return errors


def _check_reference(reference: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for field in ("kind", "name"):
        text = reference.get(field, "")
        where = f"{path}.{field}"
        errors += check_text(text, where, find_path_segment_faults) if text else [required(where)]
    return errors


def _check_api_version(reference: JsonObject, path: str, *, grouped: bool) -> list[FieldError]:
    version = reference.get("apiVersion", "")
    if version.count("/") > 1:
        return [invalid_value(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}")]
    if grouped and not version.rpartition("/")[0]:
        return [invalid_value(f"{path}.apiVersion", version, "apiVersion must specify API group")]
    return []


def _validate_metrics(spec: JsonObject) -> list[FieldError]:
    metrics = spec.get("metrics") or ()
    errors: list[FieldError] = []
    for index, metric in enumerate(metrics):
        errors += _validate_metric(metric, f"spec.metrics[{index}]")
    if spec.get("minReplicas") == 0 and not any(
        metric.get("type") in ("Object", "External") for metric in metrics
    ):
        detail = "must specify at least one Object or External metric to support scaling to zero replicas"
        errors.append(forbidden_field("spec.metrics", detail))
    return errors


def _validate_metric(metric: JsonObject, path: str) -> list[FieldError]:
    kind = metric.get("type", "")
    errors: list[FieldError] = []
    if not kind:
        errors.append(required(f"{path}.type", "must specify a metric source type"))
    if kind not in METRIC_FIELDS:
        errors.append(not_supported(f"{path}.type", kind, sorted(METRIC_FIELDS)))
    present = [field for field in METRIC_FIELDS.values() if metric.get(field) is not None]
    if present:
        errors += _validate_source(present[0], metric[present[0]], f"{path}.{present[0]}")
    wanted = METRIC_FIELDS.get(kind)
    if wanted is not None and wanted not in present:
        errors.append(required(f"{path}.{wanted}", "must populate information for the given metric source"))
    if len(present) > 1:
        detail = "must populate the given metric source only"
        errors += [forbidden_field(f"{path}.{one}", detail) for one in present if one != wanted]
    return errors


def _validate_source(field: str, source: JsonObject, path: str) -> list[FieldError]:
    target = source.get("target") or {}
    errors: list[FieldError] = []
    if field in ("resource", "containerResource"):
        errors += _check_resource(field, source, path)
    else:
        if field == "object":
            described = source.get("describedObject") or {}
            errors += _check_reference(described, f"{path}.describedObject")
            errors += _check_api_version(described, f"{path}.describedObject", grouped=False)
        errors += _check_metric_name(source.get("metric") or {}, f"{path}.metric")
    path = f"{path}.target"
    errors += _validate_target(target, path)
    average, value = target.get("averageValue"), target.get("value")
    if field in ("resource", "containerResource"):
        utilization = target.get("averageUtilization")
        if utilization is None and average is None:
            detail = "must set either a target raw value or a target utilization"
            errors.append(required(f"{path}.averageUtilization", detail))
        if utilization is not None and average is not None:
            detail = "may not set both a target raw value and a target utilization"
            errors.append(forbidden_field(f"{path}.averageValue", detail))
    elif field == "pods":
        if average is None:
            errors.append(required(f"{path}.averageValue", "must specify a positive target averageValue"))
    elif value is None and average is None:
        errors.append(required(f"{path}.averageValue", "must set either a target value or averageValue"))
    elif field == "external" and value is not None and average is not None:
        detail = "may not set both a target value for metric and a per-pod target"
        errors.append(forbidden_field(f"{path}.value", detail))
    return errors


def _check_resource(field: str, source: JsonObject, path: str) -> list[FieldError]:
    name = source.get("name", "")
    errors: list[FieldError] = []
    if not name:
        errors.append(required(f"{path}.name", "must specify a resource name"))
    if field == "resource":
        return errors
    if name:
        errors += check_resource_name(name, f"{path}.name")
    container = source.get("container", "")
    if not container:
        return [*errors, required(f"{path}.container", "must specify a container")]
    return errors + check_text(container, f"{path}.container", find_label_faults)


def _check_metric_name(metric: JsonObject, path: str) -> list[FieldError]:
    name = metric.get("name", "")
    if not name:
        return [required(f"{path}.name", "must specify a metric name")]
    return check_text(name, f"{path}.name", find_path_segment_faults)


def _validate_target(target: JsonObject, path: str) -> list[FieldError]:
    kind = target.get("type", "")
    errors: list[FieldError] = []
    if not kind:
        errors.append(required(f"{path}.type", "must specify a metric target type"))
    if kind not in _TARGETS:
        detail = "must be either Utilization, Value, or AverageValue"
        errors.append(invalid_value(f"{path}.type", kind, detail))
    for field in ("value", "averageValue"):
        amount = target.get(field)
        if amount is not None and parse_quantity(amount) <= 0:
            errors.append(invalid_value(f"{path}.{field}", amount, "must be positive"))
    share = target.get("averageUtilization")
    if share is not None and share < 1:
        errors.append(invalid_value(f"{path}.averageUtilization", share, NOT_POSITIVE))
    return errors


def _validate_rules(rules: JsonObject, path: str) -> list[FieldError]:
    errors = _check_seconds(
        rules.get("stabilizationWindowSeconds"),
        f"{path}.stabilizationWindowSeconds",
        least=0,
        most=_LONGEST_WINDOW_S,
    )
    selection = rules.get("selectPolicy")
    if selection is not None and selection not in _SELECTIONS:
        errors.append(not_supported(f"{path}.selectPolicy", selection, _SELECTIONS))
    policies = rules.get("policies") or ()
    if not policies:
        errors.append(required(f"{path}.policies", "must specify at least one Policy"))
    for index, policy in enumerate(policies):
        where = f"{path}.policies[{index}]"
        if policy.get("type", "") not in _POLICIES:
            errors.append(not_supported(f"{where}.type", policy.get("type", ""), _POLICIES))
        if policy.get("value", 0) <= 0:
            errors.append(
                invalid_value(f"{where}.value", policy.get("value", 0), "must be greater than zero")
            )
        errors += _check_seconds(
            policy.get("periodSeconds", 0), f"{where}.periodSeconds", least=1, most=_LONGEST_PERIOD_S
        )
    tolerance = rules.get("tolerance")
    if tolerance is not None and parse_quantity(tolerance) < 0:
        errors.append(invalid_value(f"{path}.tolerance", tolerance, "must be greater than or equal to zero"))
    return errors


def _check_seconds(value: JsonValue, path: str, *, least: int, most: int) -> list[FieldError]:
    if value is not None and value < least:
        detail = "must be greater than zero" if least else "must be greater than or equal to zero"
        return [invalid_value(path, value, detail)]
    if value is not None and value > most:
        return [invalid_value(path, value, f"must be less than or equal to {most}")]
    return []

"""HorizontalPodAutoscalers of autoscaling/v1, which keeps in annotations what it has no fields for.

Source: kubernetes/pkg/apis/autoscaling/v1/conversion.go v1.35. The annotation about behavior is Go's form of the internal type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import orjson

from k3py.api.quantity import canonical
from k3py.api.validation.autoscaler import METRIC_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.jsontypes import JsonObject, JsonValue

_Read = TypeVar("_Read")
_PREFIX: Final = "autoscaling.alpha.kubernetes.io/"
_METRICS: Final = f"{_PREFIX}metrics"
_CURRENT: Final = f"{_PREFIX}current-metrics"
_CONDITIONS: Final = f"{_PREFIX}conditions"
_BEHAVIOR: Final = f"{_PREFIX}behavior"
_ALL: Final = (_METRICS, _CURRENT, _CONDITIONS, _BEHAVIOR)
_DEFAULT_UTILIZATION: Final = 80
# What stands in an annotation that clients write may be anything; what cannot be read is ignored.
_UNREADABLE: Final = (ValueError, TypeError, AttributeError, KeyError)


def drop_annotations(obj: JsonObject) -> None:
    """Remove the annotations of v1 in place; metadata may be shared, so it is replaced."""
    metadata = obj.get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    if any(name in annotations for name in _ALL):
        rest = {key: value for key, value in annotations.items() if key not in _ALL}
        obj["metadata"] = _with_annotations(metadata, rest)


def _with_annotations(metadata: JsonObject, annotations: JsonObject) -> JsonObject:
    changed = {key: value for key, value in metadata.items() if key != "annotations"}
    if annotations:
        changed["annotations"] = annotations
    return changed


def to_v2(obj: JsonObject) -> JsonObject:
    """Return a v1 autoscaler in the v2 form; parts are shared."""
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    share = spec.pop("targetCPUUtilizationPercentage", None)
    metrics = _read(annotations, _METRICS, _read_metric_specs) or []
    if share is not None:
        metrics.append(_cpu_metric({"target": {"type": "Utilization", "averageUtilization": share}}))
    if not metrics:
        target = {"type": "Utilization", "averageUtilization": _DEFAULT_UTILIZATION}
        metrics.append(_cpu_metric({"target": target}))
    spec["metrics"] = metrics
    behavior = _read(annotations, _BEHAVIOR, _read_behavior)
    if behavior is not None:
        spec["behavior"] = behavior
    used = status.pop("currentCPUUtilizationPercentage", None)
    current = _read(annotations, _CURRENT, _read_metric_statuses)
    if current is None and used is not None:
        current = [_cpu_metric({"current": {"averageUtilization": used}})]
    status["currentMetrics"] = current or None
    if not status.get("currentReplicas"):
        status.pop("currentReplicas", None)
    conditions = _read(annotations, _CONDITIONS, _read_conditions)
    if conditions:
        status["conditions"] = conditions
    converted = {**obj, "apiVersion": "autoscaling/v2", "spec": _ordered(spec, _SPEC), "status": status}
    drop_annotations(converted)
    return converted


def _cpu_metric(source: JsonObject) -> JsonObject:
    return {"type": "Resource", "resource": {"name": "cpu", **source}}


def to_v1(obj: JsonObject) -> JsonObject:
    """Return a v2 autoscaler in the v1 form; parts are shared."""
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    metrics, behavior = spec.pop("metrics", None) or [], spec.pop("behavior", None)
    current, conditions = status.pop("currentMetrics", None) or [], status.pop("conditions", None)
    converted = {**obj, "apiVersion": "autoscaling/v1", "spec": spec, "status": status}
    drop_annotations(converted)
    annotations = dict((converted.get("metadata") or {}).get("annotations") or {})
    others = []
    for metric in metrics:
        source = metric.get("resource")
        share = ((source or {}).get("target") or {}).get("averageUtilization")
        if metric.get("type") == "Resource" and source and source.get("name") == "cpu" and share is not None:
            spec.setdefault("targetCPUUtilizationPercentage", share)
        else:
            others.append(metric)
    for metric in current:
        source = metric.get("resource") or {}
        used = (source.get("current") or {}).get("averageUtilization")
        if metric.get("type") == "Resource" and source.get("name") == "cpu" and used is not None:
            status["currentCPUUtilizationPercentage"] = used
    status.setdefault("currentReplicas", 0)
    if others:
        annotations[_METRICS] = _encode([_write_metric(one, _write_spec) for one in others])
    if current:
        annotations[_CURRENT] = _encode([_write_metric(one, _write_status) for one in current])
    if conditions:
        annotations[_CONDITIONS] = _encode([_read_condition(one) for one in conditions])
    if behavior is not None:
        annotations[_BEHAVIOR] = _encode(
            {name: _write_rules(behavior.get(field)) for name, field in _RULES.items()}
        )
    if annotations:
        converted["metadata"] = _with_annotations(converted["metadata"], annotations)
    converted["status"] = _ordered(status, _STATUS)
    return converted


def _encode(value: JsonValue) -> str:
    """Return JSON as Go writes it."""
    text = orjson.dumps(value).decode()
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _read(annotations: JsonObject, name: str, read: Callable[[JsonValue], _Read]) -> _Read | None:
    if name not in annotations:
        return None
    try:
        found = orjson.loads(annotations[name])
        return read(found) if found is not None else None
    except _UNREADABLE:
        return None


_SPEC: Final = ("scaleTargetRef", "minReplicas", "maxReplicas", "metrics", "behavior")
_STATUS: Final = (
    "observedGeneration",
    "lastScaleTime",
    "currentReplicas",
    "desiredReplicas",
    "currentCPUUtilizationPercentage",
)


def _ordered(part: JsonObject, order: tuple[str, ...]) -> JsonObject:
    return {key: part[key] for key in order if key in part} | part


def _present(**fields: JsonValue) -> JsonObject:
    return {key: value for key, value in fields.items() if value is not None}


def _amount(value: JsonValue) -> str | None:
    return None if value is None else canonical(f"{value}")


def _number(value: JsonValue) -> int | None:
    if value is None or type(value) is int:
        return value
    raise TypeError(value)


def _write_metric(metric: JsonObject, write: Callable[[str, JsonObject], JsonObject]) -> JsonObject:
    """Return a metric of a spec or a status as v1 has it in annotations."""
    written: JsonObject = {"type": metric.get("type", "")}
    for field in ("object", "pods", "resource", "containerResource", "external"):
        if metric.get(field) is not None:
            written[field] = write(field, metric[field])
    return written


def _write_spec(field: str, source: JsonObject) -> JsonObject:
    target, metric = source.get("target") or {}, source.get("metric") or {}
    value, average = target.get("value"), target.get("averageValue")
    name, selector = metric.get("name", ""), metric.get("selector")
    match field:
        case "object":
            described = source.get("describedObject") or {}
            written = {"target": described, "metricName": name, "targetValue": value or "0"}
            return written | _present(selector=selector, averageValue=average)
        case "pods":
            return {"metricName": name, "targetAverageValue": average or "0"} | _present(selector=selector)
        case "external":
            found = _present(metricSelector=selector, targetValue=value, targetAverageValue=average)
            return {"metricName": name, **found}
    return {
        "name": source.get("name", ""),
        **_present(
            targetAverageUtilization=target.get("averageUtilization"),
            targetAverageValue=average,
            container=source.get("container"),
        ),
    }


def _write_status(field: str, source: JsonObject) -> JsonObject:
    current, metric = source.get("current") or {}, source.get("metric") or {}
    value, average = current.get("value"), current.get("averageValue")
    name, selector = metric.get("name", ""), metric.get("selector")
    match field:
        case "object":
            described = source.get("describedObject") or {}
            written = {"target": described, "metricName": name, "currentValue": value or "0"}
            return written | _present(selector=selector, averageValue=average)
        case "pods":
            return {"metricName": name, "currentAverageValue": average or "0"} | _present(selector=selector)
        case "external":
            written = {"metricName": name} | _present(metricSelector=selector)
            return {**written, "currentValue": value or "0", **_present(currentAverageValue=average)}
    return {
        "name": source.get("name", ""),
        **_present(currentAverageUtilization=current.get("averageUtilization")),
        "currentAverageValue": average or "0",
        **_present(container=source.get("container")),
    }


def _read_metric_specs(found: JsonValue) -> list[JsonObject]:
    return [_read_metric(one, _read_spec) for one in _list(found)]


def _read_metric_statuses(found: JsonValue) -> list[JsonObject]:
    return [_read_metric(one, _read_status) for one in _list(found)]


def _list(found: JsonValue) -> list[JsonObject]:
    if not isinstance(found, list):
        raise TypeError(found)
    return found


def _read_metric(metric: JsonObject, read: Callable[[str, JsonObject], JsonObject]) -> JsonObject:
    converted: JsonObject = {"type": _text(metric.get("type"))}
    for field in METRIC_FIELDS.values():
        if metric.get(field) is not None:
            converted[field] = read(field, metric[field])
    return converted


def _text(value: JsonValue) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    raise TypeError(value)


def _identifier(source: JsonObject, selector: str) -> JsonObject:
    chosen = source.get(selector)
    if chosen is not None and not isinstance(chosen, dict):
        raise TypeError(chosen)
    return {"name": _text(source.get("metricName")), **_present(selector=chosen)}


def _described(source: JsonObject) -> JsonObject:
    target = source.get("target") or {}
    found = {"kind": _text(target.get("kind")), "name": _text(target.get("name"))}
    version = _text(target.get("apiVersion"))
    return {**found, "apiVersion": version} if version else found


def _read_spec(field: str, source: JsonObject) -> JsonObject:
    match field:
        case "object":
            value, average = _amount(source.get("targetValue")) or "0", _amount(source.get("averageValue"))
            kind = "Value" if average is None else "AverageValue"
            target = {"type": kind, "value": value, **_present(averageValue=average)}
            metric = _identifier(source, "selector")
            return {"describedObject": _described(source), "target": target, "metric": metric}
        case "pods":
            average = _amount(source.get("targetAverageValue")) or "0"
            target = {"type": "AverageValue", "averageValue": average}
            return {"metric": _identifier(source, "selector"), "target": target}
        case "external":
            goal, share = _amount(source.get("targetValue")), _amount(source.get("targetAverageValue"))
            kind = "AverageValue" if goal is None else "Value"
            target = {"type": kind, **_present(value=goal, averageValue=share)}
            return {"metric": _identifier(source, "metricSelector"), "target": target}
    used, amount = _number(source.get("targetAverageUtilization")), _amount(source.get("targetAverageValue"))
    kind = "AverageValue" if used is None else "Utilization"
    target = {"type": kind, **_present(averageValue=amount, averageUtilization=used)}
    return {"name": _text(source.get("name")), "target": target, **_container(field, source)}


def _container(field: str, source: JsonObject) -> JsonObject:
    return {"container": _text(source.get("container"))} if field == "containerResource" else {}


def _read_status(field: str, source: JsonObject) -> JsonObject:
    match field:
        case "object":
            value, average = _amount(source.get("currentValue")) or "0", _amount(source.get("averageValue"))
            metric = _identifier(source, "selector")
            current = {"value": value, **_present(averageValue=average)}
            return {"metric": metric, "current": current, "describedObject": _described(source)}
        case "pods":
            average = _amount(source.get("currentAverageValue")) or "0"
            return {"metric": _identifier(source, "selector"), "current": {"averageValue": average}}
        case "external":
            value = _amount(source.get("currentValue")) or "0"
            average = _amount(source.get("currentAverageValue"))
            current = {"value": value, **_present(averageValue=average)}
            return {"metric": _identifier(source, "metricSelector"), "current": current}
    share = _number(source.get("currentAverageUtilization"))
    average = _amount(source.get("currentAverageValue")) or "0"
    current = {"averageValue": average, **_present(averageUtilization=share)}
    return {"name": _text(source.get("name")), "current": current, **_container(field, source)}


def _read_conditions(found: JsonValue) -> list[JsonObject]:
    return [_read_condition(one) for one in _list(found)]


def _read_condition(condition: JsonObject) -> JsonObject:
    read: JsonObject = {field: _text(condition.get(field)) for field in ("type", "status")}
    read["lastTransitionTime"] = _text(condition.get("lastTransitionTime")) or None
    for field in ("reason", "message"):
        if text := _text(condition.get(field)):
            read[field] = text
    return read


# In the annotation fields have the names of Go's structs.
_RULES: Final = {"ScaleUp": "scaleUp", "ScaleDown": "scaleDown"}
_RULE: Final = {"StabilizationWindowSeconds": "stabilizationWindowSeconds", "SelectPolicy": "selectPolicy"}
_POLICY: Final = {"Type": "type", "Value": "value", "PeriodSeconds": "periodSeconds"}


def _write_rules(rules: JsonObject | None) -> JsonObject | None:
    if rules is None:
        return None
    written: JsonObject = {name: rules.get(field) for name, field in _RULE.items()}
    written["Policies"] = [
        {name: policy.get(field) for name, field in _POLICY.items()} for policy in rules.get("policies") or ()
    ]
    written["Tolerance"] = rules.get("tolerance")
    return written


def _read_behavior(found: JsonValue) -> JsonObject:
    found = _lower(found)
    return {
        field: _read_rules(_lower(found[field.lower()]))
        for field in _RULES.values()
        if found.get(field.lower()) is not None
    }


def _lower(found: JsonObject) -> JsonObject:
    """Go's decoder does not mind the case of names."""
    return {key.lower(): value for key, value in found.items()}


def _read_rules(rules: JsonObject) -> JsonObject:
    read = _present(
        stabilizationWindowSeconds=_number(rules.get("stabilizationwindowseconds")),
        selectPolicy=rules.get("selectpolicy"),
    )
    policies = [_lower(one) for one in rules.get("policies") or ()]
    if policies:
        read["policies"] = [
            {
                "type": _text(one.get("type")),
                "value": _number(one.get("value")) or 0,
                "periodSeconds": _number(one.get("periodseconds")) or 0,
            }
            for one in policies
        ]
    return read | _present(tolerance=_amount(rules.get("tolerance")))

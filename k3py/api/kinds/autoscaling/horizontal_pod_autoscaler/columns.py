"""What the table shows of a HorizontalPodAutoscaler in its v2 form. Source: kubernetes/pkg/printers/internalversion/printers.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, NONE, UNSET, column, value_at
from k3py.api.validation.autoscaler import METRIC_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.api.kind import Column
    from k3py.jsontypes import JsonObject, JsonValue

_UNKNOWN: Final = "<unknown>"
_MOST_SHOWN: Final = 2


def autoscaler_columns(convert: Callable[[JsonObject], JsonObject] | None = None) -> tuple[Column, ...]:
    """Return the columns; `convert` turns what is shown into the v2 form."""

    def shown(name: str, value: Callable[[JsonObject], JsonValue]) -> Column:
        return column(name, lambda obj: value(convert(obj) if convert else obj))

    return (
        NAME,
        shown("Reference", _reference_of),
        shown("Targets", _targets_of),
        shown("MinPods", lambda obj: str(value_at(obj, "spec.minReplicas", UNSET))),
        shown("MaxPods", lambda obj: value_at(obj, "spec.maxReplicas", 0)),
        shown("Replicas", lambda obj: value_at(obj, "status.currentReplicas", 0)),
        AGE,
    )


def _reference_of(obj: JsonObject) -> str:
    return f"{value_at(obj, 'spec.scaleTargetRef.kind', '')}/{value_at(obj, 'spec.scaleTargetRef.name', '')}"


def _targets_of(obj: JsonObject) -> str:
    metrics = value_at(obj, "spec.metrics", ())
    if not metrics:
        return NONE
    statuses = value_at(obj, "status.currentMetrics", ())
    texts = [
        _target_of(metric, statuses[index] if index < len(statuses) else {})
        for index, metric in enumerate(metrics)
    ]
    text = ", ".join(texts[:_MOST_SHOWN])
    return text if len(texts) <= _MOST_SHOWN else f"{text} + {len(texts) - _MOST_SHOWN} more..."


def _target_of(metric: JsonObject, status: JsonObject) -> str:
    field = METRIC_FIELDS.get(metric.get("type", ""))
    if field is None:
        return "<unknown type>"
    source = metric.get(field) or {}
    target = source.get("target") or {}
    current = (status.get(field) or {}).get("current") or {}
    if field in ("resource", "containerResource"):
        name = source.get("name", "")
        if target.get("averageValue") is not None:
            return f"{name}: {current.get('averageValue') or _UNKNOWN}/{target['averageValue']}"
        share, used = target.get("averageUtilization"), current.get("averageUtilization")
        wanted = "<auto>" if share is None else f"{share}%"
        return f"{name}: {_UNKNOWN if used is None else f'{used}%'}/{wanted}"
    if field != "pods" and target.get("averageValue") is None:
        return f"{current.get('value') or _UNKNOWN}/{target.get('value', 0)}"
    text = f"{current.get('averageValue') or _UNKNOWN}/{target.get('averageValue', 0)}"
    return text if field == "pods" else f"{text} (avg)"

"""How HorizontalPodAutoscalers live, in the version that is stored and in v1.

Source: kubernetes/pkg/registry/autoscaling/horizontalpodautoscaler/strategy.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from k3py.api.kinds.autoscaling.horizontal_pod_autoscaler.conversion import drop_annotations, to_v1, to_v2
from k3py.api.strategy import StatusStrategy
from k3py.api.validation.autoscaler import validate_autoscaler
from k3py.api.validation.workload import check_counts

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class AutoscalerStrategy(StatusStrategy):
    """autoscaling/v2."""

    empty_status: ClassVar[JsonObject] = {"desiredReplicas": 0, "currentMetrics": None}

    def default(self, obj: JsonObject) -> None:
        """Annotations in which v1 keeps things mean nothing here."""
        drop_annotations(obj)

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check the spec."""
        return validate_autoscaler(obj.get("spec") or {}, None)

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """What the old one had may stay."""
        return validate_autoscaler(new.get("spec") or {}, old.get("spec") or {})

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Counts are not negative."""
        return check_counts(new.get("status") or {}, "status", ("currentReplicas", "desiredReplicas"))


class V1AutoscalerStrategy(StatusStrategy):
    """autoscaling/v1: what v2 does, on the converted object."""

    def __init__(self, inner: AutoscalerStrategy) -> None:
        self._inner = inner

    def default(self, obj: JsonObject) -> None:
        """Only what survives conversion counts: unreadable annotations go, and a metric is there always."""
        _replace(obj, to_v1(to_v2(obj)))

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """Reset the status."""
        converted = to_v2(obj)
        self._inner.prepare_create(converted, context)
        _replace(obj, to_v1(converted))

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """Keep the status."""
        converted = to_v2(new)
        self._inner.prepare_update(converted, to_v2(old), context)
        _replace(new, to_v1(converted))

    def prepare_status_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """Keep the spec."""
        converted = to_v2(new)
        self._inner.prepare_status_update(converted, to_v2(old), context)
        _replace(new, to_v1(converted))

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check the spec."""
        return self._inner.validate(to_v2(obj))

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """What the old one had may stay."""
        return self._inner.validate_update(to_v2(new), to_v2(old))

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Counts are not negative."""
        return self._inner.validate_status_update(to_v2(new), to_v2(old))


def _replace(obj: JsonObject, converted: JsonObject) -> None:
    obj.clear()
    obj.update(converted)

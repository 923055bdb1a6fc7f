"""Events of events.k8s.io: the newer form of core Events, in the same storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.event import (
    event_columns,
    from_core,
    to_core,
    validate_new_style_event,
    validate_new_style_update,
)
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class EventStrategy(BaseStrategy):
    """Source: kubernetes/pkg/apis/core/validation/events.go v1.35."""

    create_on_update = True

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """New-style events name who reports and what was done."""
        return validate_new_style_event(to_core(obj))

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Only the series changes."""
        return validate_new_style_update(to_core(new), to_core(old))


def _regarding(field: str) -> Callable[[JsonObject], str]:
    return lambda obj: str((obj.get("regarding") or {}).get(field, ""))


KIND: Final = Kind(
    group="events.k8s.io",
    version="v1",
    kind="Event",
    plural="events",
    singular="event",
    list_kind="EventList",
    short_names=("ev",),
    schema="io.k8s.api.events.v1.Event",
    strategy=EventStrategy(),
    columns=event_columns(to_core),
    selectable_fields={
        "type": lambda obj: str(obj.get("type", "")),
        "reason": lambda obj: str(obj.get("reason", "")),
        "reportingController": lambda obj: str(obj.get("reportingController", "")),
        **{
            f"regarding.{field}": _regarding(field)
            for field in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
        },
    },
    storage=StoragePolicy(prefix="events", ttl_s=3600),
    storage_version="v1",
    to_storage=to_core,
    from_storage=from_core,
    storage_version_hash="r2yiGXH7wu8=",
)

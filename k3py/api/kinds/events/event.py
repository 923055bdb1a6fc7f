"""Events of events.k8s.io: the newer form of core Events, in the same storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import required
from k3py.api.kind import BaseStrategy, Column, Kind, StoragePolicy

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject, JsonValue

_RENAMED: Final = (
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
)


class EventStrategy(BaseStrategy):
    """Source: kubernetes/pkg/apis/core/validation/events.go v1.35."""

    create_on_update = True

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """New-style events name who reports and what was done."""
        errors = [
            required(field)
            for field in ("eventTime", "reportingController", "reportingInstance", "action", "reason")
            if not obj.get(field)
        ]
        return [] if obj.get("deprecatedFirstTimestamp") else errors


def to_core(obj: JsonObject) -> JsonObject:
    """Return the core/v1 form."""
    names = dict(_RENAMED)
    return {**{names.get(key, key): value for key, value in obj.items()}, "apiVersion": "v1"}


def from_core(obj: JsonObject) -> JsonObject:
    """Return the events.k8s.io/v1 form."""
    names = {old: new for new, old in _RENAMED}
    return {**{names.get(key, key): value for key, value in obj.items()}, "apiVersion": "events.k8s.io/v1"}


def _of_core(name: str) -> Column:
    """A column of the core kind, computed on the core form."""
    from k3py.api.kinds.core.event import KIND as CORE  # noqa: PLC0415 - read once, when the record is made

    column = next(one for one in CORE.columns if one.name == name)

    def value(obj: JsonObject, now: datetime) -> JsonValue:
        return column.value(to_core(obj), now)

    return Column(name=name, type=column.type, format=column.format, priority=column.priority, value=value)


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
    columns=tuple(
        _of_core(name)
        for name in (
            "Last Seen",
            "Type",
            "Reason",
            "Object",
            "Subobject",
            "Source",
            "Message",
            "First Seen",
            "Count",
            "Name",
        )
    ),
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

"""Events of the core group; they share their storage with those of events.k8s.io and go after an hour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.event import event_columns, validate_event
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class EventStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/core/event/strategy.go v1.35."""

    create_on_update = True

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """An event lies in the namespace of its object (cluster-scoped ones: default)."""
        return validate_event(obj)

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Events of the core group may change."""
        return self.validate(new)


def _involved(field: str) -> Callable[[JsonObject], str]:
    return lambda obj: str((obj.get("involvedObject") or {}).get(field, ""))


KIND: Final = Kind(
    version="v1",
    kind="Event",
    plural="events",
    singular="event",
    list_kind="EventList",
    short_names=("ev",),
    schema="io.k8s.api.core.v1.Event",
    strategy=EventStrategy(),
    columns=event_columns(),
    selectable_fields={
        "type": lambda obj: str(obj.get("type", "")),
        "involvedObject.kind": _involved("kind"),
        "involvedObject.namespace": _involved("namespace"),
        "involvedObject.name": _involved("name"),
        "involvedObject.uid": _involved("uid"),
        "involvedObject.apiVersion": _involved("apiVersion"),
        "involvedObject.resourceVersion": _involved("resourceVersion"),
        "involvedObject.fieldPath": _involved("fieldPath"),
        "reason": lambda obj: str(obj.get("reason", "")),
        "reportingComponent": lambda obj: str(obj.get("reportingComponent", "")),
        "source": lambda obj: str(
            (obj.get("source") or {}).get("component") or obj.get("reportingComponent", "")
        ),
    },
    storage=StoragePolicy(prefix="events", ttl_s=3600),
    storage_version_hash="r2yiGXH7wu8=",
)

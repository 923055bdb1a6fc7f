"""Events of the core group; they share their storage with those of events.k8s.io and go after an hour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import column
from k3py.api.duration import age_of
from k3py.api.fielderror import invalid_value
from k3py.api.kind import BaseStrategy, Column, Kind, StoragePolicy

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class EventStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/core/event/strategy.go v1.35."""

    create_on_update = True

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """An event lies in the namespace of its object (cluster-scoped ones: default)."""
        namespace = (obj.get("involvedObject") or {}).get("namespace", "")
        if obj["metadata"].get("namespace", "") != (namespace or "default"):
            return [invalid_value("involvedObject.namespace", namespace, "does not match event.namespace")]
        return []

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Events of the core group may change."""
        return self.validate(new)


def _seen(obj: JsonObject, first: str, now: datetime) -> str:
    stamp = obj.get(first) or obj.get("eventTime")
    series = obj.get("series") or {}
    if first == "lastTimestamp" and series.get("lastObservedTime"):
        stamp = series["lastObservedTime"]
    return age_of(stamp, now)


def _object(obj: JsonObject) -> str:
    about = obj.get("involvedObject") or {}
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


def _source(obj: JsonObject) -> str:
    source = obj.get("source") or {}
    component = source.get("component") or obj.get("reportingComponent", "")
    host = source.get("host") or obj.get("reportingInstance", "")
    return f"{component}, {host}" if host else str(component)


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
    columns=(
        Column(name="Last Seen", value=lambda obj, now: _seen(obj, "lastTimestamp", now)),
        column("Type", lambda obj: obj.get("type", "")),
        column("Reason", lambda obj: obj.get("reason", "")),
        column("Object", _object),
        column("Subobject", lambda obj: (obj.get("involvedObject") or {}).get("fieldPath", ""), wide=True),
        column("Source", _source, wide=True),
        column("Message", lambda obj: obj.get("message", "").strip()),
        Column(name="First Seen", priority=1, value=lambda obj, now: _seen(obj, "firstTimestamp", now)),
        column(
            "Count",
            lambda obj: str((obj.get("series") or {}).get("count") or obj.get("count") or 1),
            wide=True,
        ),
        Column(name="Name", format="name", priority=1, value=lambda obj, _: obj["metadata"]["name"]),
    ),
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

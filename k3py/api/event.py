"""Events in their two forms: core v1, in which they are stored, and events.k8s.io/v1.

Source: kubernetes/pkg/apis/events/v1/conversion.go and pkg/printers/internalversion/printers.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import WIDE_NAME, column
from k3py.api.duration import age_of
from k3py.api.fielderror import invalid_value, required
from k3py.api.kind import Column
from k3py.api.names import find_qualified_name_faults
from k3py.api.validation.scalar import check_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

# events.k8s.io/v1 → v1; what is not named is called the same in both.
_RENAMED: Final = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_BACK: Final = {core: new for new, core in _RENAMED.items()}
_ALWAYS_IN_CORE: Final = ("reportingComponent", "reportingInstance")


def to_core(obj: JsonObject) -> JsonObject:
    """Return an events.k8s.io/v1 Event as a v1 Event; parts are shared."""
    core = {_RENAMED.get(key, key): value for key, value in obj.items()}
    core["apiVersion"] = "v1"
    for key in _ALWAYS_IN_CORE:
        core.setdefault(key, "")
    return core


def from_core(obj: JsonObject) -> JsonObject:
    """Return a v1 Event as an events.k8s.io/v1 Event; parts are shared."""
    event = {_BACK.get(key, key): value for key, value in obj.items()}
    event["apiVersion"] = "events.k8s.io/v1"
    for key in ("reportingController", "reportingInstance"):
        if not event.get(key):
            event.pop(key, None)
    return event


def event_columns(convert: Callable[[JsonObject], JsonObject] | None = None) -> tuple[Column, ...]:
    """Return the columns of Events; `convert` turns what is shown into a v1 Event."""

    def plain(name: str, value: Callable[[JsonObject], object], *, wide: bool = False) -> Column:
        return column(name, lambda obj: value(convert(obj) if convert else obj), wide=wide)

    def timed(name: str, value: Callable[[JsonObject, datetime], str], *, priority: int = 0) -> Column:
        return Column(
            name=name,
            priority=priority,
            value=lambda obj, now: value(convert(obj) if convert else obj, now),
        )

    return (
        timed("Last Seen", _last_seen),
        plain("Type", lambda obj: obj.get("type", "")),
        plain("Reason", lambda obj: obj.get("reason", "")),
        plain("Object", _object_of),
        plain("Subobject", lambda obj: (obj.get("involvedObject") or {}).get("fieldPath", ""), wide=True),
        plain("Source", _source_of, wide=True),
        plain("Message", lambda obj: str(obj.get("message") or "").strip()),
        timed("First Seen", _first_seen, priority=1),
        plain("Count", _count_of, wide=True),
        WIDE_NAME,
    )


def _first_seen(obj: JsonObject, now: datetime) -> str:
    return age_of(obj.get("firstTimestamp") or obj.get("eventTime"), now)


def _last_seen(obj: JsonObject, now: datetime) -> str:
    series = obj.get("series")
    if series:
        return age_of(series.get("lastObservedTime"), now)
    if obj.get("lastTimestamp"):
        return age_of(obj["lastTimestamp"], now)
    return _first_seen(obj, now)


def _count_of(obj: JsonObject) -> int:
    if obj.get("series"):
        return int(obj["series"].get("count") or 0)
    return int(obj.get("count") or 1)


def _object_of(obj: JsonObject) -> str:
    about = obj.get("involvedObject") or {}
    kind = str(about.get("kind", "")).lower()
    return f"{kind}/{about['name']}" if about.get("name") else kind


def _source_of(obj: JsonObject) -> str:
    source = obj.get("source") or {}
    component = source.get("component") or obj.get("reportingComponent") or ""
    instance = source.get("host") or obj.get("reportingInstance") or ""
    return f"{component}, {instance}" if instance else str(component)


_MOST_TEXT: Final = 128
_MOST_NOTE: Final = 1024
_FROZEN: Final = (
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "type",
    "eventTime",
    "action",
    "related",
    "reportingComponent",
    "reportingInstance",
)


def validate_event(core: JsonObject, *, controller_path: str = "reportingComponent") -> list[FieldError]:
    """Check a v1 Event as both groups do."""
    about = core.get("involvedObject") or {}
    namespace, theirs = core["metadata"].get("namespace", ""), about.get("namespace", "")
    mismatch = invalid_value("involvedObject.namespace", theirs, "does not match event.namespace")
    if not core.get("eventTime"):
        return [] if namespace == (theirs or "default") else [mismatch]
    errors = [mismatch] if not theirs and namespace not in ("default", "kube-system") else []
    controller = core.get("reportingComponent") or ""
    if not controller:
        errors.append(required(controller_path))
    errors += check_text(controller, controller_path, find_qualified_name_faults)
    for field in ("reportingInstance", "action", "reason"):
        text = core.get(field) or ""
        if not text:
            errors.append(required(field))
        elif len(text) > _MOST_TEXT:
            errors.append(invalid_value(field, text, f"can have at most {_MOST_TEXT} characters"))
    if len(core.get("message") or "") > _MOST_NOTE:
        errors.append(invalid_value("message", "", f"can have at most {_MOST_NOTE} characters"))
    return errors


def validate_new_style_event(core: JsonObject) -> list[FieldError]:
    """Check what events.k8s.io demands beyond that: fields of the old style are not set."""
    errors = [] if core.get("eventTime") else [required("eventTime")]
    errors += validate_event(core, controller_path="reportingController")
    if not core.get("eventTime"):
        return errors
    if core.get("type") not in ("Normal", "Warning"):
        errors.append(invalid_value("type", core.get("type", ""), "has invalid value"))
    errors += [
        invalid_value(field, core[field], "needs to be unset")
        for field in ("firstTimestamp", "lastTimestamp", "count", "source")
        if core.get(field)
    ]
    return errors + _validate_series(core)


def _validate_series(core: JsonObject) -> list[FieldError]:
    series = core.get("series")
    if series is None:
        return []
    errors: list[FieldError] = []
    if (series.get("count") or 0) < 2:
        errors.append(invalid_value("series.count", series.get("count", 0), "should be at least 2"))
    if not series.get("lastObservedTime"):
        errors.append(required("series.lastObservedTime"))
    return errors


def validate_new_style_update(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """Check that only the series of an event changes; both are v1 Events."""
    errors = validate_event(new, controller_path="reportingController")
    errors += [
        invalid_value(field, new.get(field), "field is immutable")
        for field in _FROZEN
        if (new.get(field) or None) != (old.get(field) or None)
    ]
    return errors + _validate_series(new)

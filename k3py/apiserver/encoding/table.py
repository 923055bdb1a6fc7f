"""Tables: what `kubectl get` prints, made by the server from a kind's columns.

Source: k8s.io/apiserver/pkg/endpoints/handlers/response.go and registry/rest/table.go v0.35.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from k3py.api.kind import Column
from k3py.api.status import ApiError, bad_request
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from k3py.api.kind import Kind
    from k3py.jsontypes import JsonObject, JsonValue

_META_GROUP: Final = "meta.k8s.io/"
_NAME_TEXT: Final = (
    "Name must be unique within a namespace. Is required when creating resources, although some resources may "
    "allow a client to request the generation of an appropriate name automatically. Name is primarily intended "
    "for creation idempotence and configuration definition. Cannot be updated. More info: "
    "https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
)
_CREATED_TEXT: Final = (
    "CreationTimestamp is a timestamp representing the server time when this object was created. It is not "
    "guaranteed to be set in happens-before order across separate operations. Clients may not set this value. "
    "It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
)


def _name_of(obj: JsonObject, _now: datetime) -> JsonValue:
    return (obj.get("metadata") or {}).get("name", "")


def _creation_of(obj: JsonObject, _now: datetime) -> JsonValue:
    return (obj.get("metadata") or {}).get("creationTimestamp")


_DEFAULT_COLUMNS: Final = (
    Column(name="Name", format="name", description=_NAME_TEXT, value=_name_of),
    Column(name="Created At", type="date", description=_CREATED_TEXT, value=_creation_of),
)


def _scale_number(part: str, key: str) -> Callable[[JsonObject, datetime], JsonValue]:
    return lambda obj, _now: (obj.get(part) or {}).get(key, 0)


def _age_of(obj: JsonObject, now: datetime) -> JsonValue:
    created = (obj.get("metadata") or {}).get("creationTimestamp")
    if not created:
        return "<unknown>"
    return _format_duration(int((now - datetime.fromisoformat(created)).total_seconds()))


def _format_duration(seconds: int) -> str:
    """Return a duration as Go's HumanDuration writes it for whole units: 12s, 5m, 3h, 2d."""
    for unit_s, longest_s, letter in ((1, 120, "s"), (60, 3 * 3600, "m"), (3600, 48 * 3600, "h")):
        if seconds < longest_s:
            return f"{max(seconds, 0) // unit_s}{letter}"
    return f"{seconds // 86400}d"


_SCALE_COLUMNS: Final = (
    Column(name="Name", format="name", description=_NAME_TEXT, value=_name_of),
    Column(name="Desired", type="integer", value=_scale_number("spec", "replicas")),
    Column(name="Available", type="integer", value=_scale_number("status", "replicas")),
    Column(name="Age", description=_CREATED_TEXT, value=_age_of),
)


class Table:
    """Makes Table documents of one kind; `options` holds includeObject (None, Metadata = default, Object).

    Raises (on creation):
        ApiError: 400 for another includeObject; 406 for objects that have no kind of their own.
    """

    __slots__ = ("_columns", "_include", "_version")

    def __init__(
        self, kind: Kind | None, version: str, options: Mapping[str, str], *, shown_kind: str = ""
    ) -> None:
        if shown_kind == "Scale":
            self._columns: tuple[Column, ...] = _SCALE_COLUMNS
        elif kind is None or not _is_listed(kind):
            raise ApiError(406, "NotAcceptable", "the object has no Table form")
        else:
            self._columns = kind.columns or _DEFAULT_COLUMNS
        self._version = version
        self._include = options.get("includeObject", "") or "Metadata"
        if self._include not in ("None", "Metadata", "Object"):
            raise bad_request(
                f'invalid includeObject value "{self._include}": must be one of None, Metadata, Object'
            )

    def to_document(
        self, objects: Sequence[JsonObject], metadata: JsonObject, *, with_columns: bool = True
    ) -> JsonObject:
        """Return the table of `objects`; a watch names the columns in its first event alone."""
        now = clock.now()
        return {
            "kind": "Table",
            "apiVersion": _META_GROUP + self._version,
            "metadata": metadata,
            "columnDefinitions": [
                {
                    "name": column.name,
                    "type": column.type,
                    "format": column.format,
                    "description": column.description,
                    "priority": column.priority,
                }
                for column in self._columns
                if column.name
            ]
            if with_columns
            else None,
            "rows": [self.row(one, now) for one in objects],
        }

    def row(self, obj: JsonObject, now: datetime | None = None) -> JsonObject:
        """Return the row of one object."""
        now = now or clock.now()
        shown: JsonValue = None
        if self._include == "Object":
            shown = obj
        elif self._include == "Metadata":
            shown = {
                "kind": "PartialObjectMetadata",
                "apiVersion": _META_GROUP + self._version,
                "metadata": obj.get("metadata") or {},
            }
        return {"cells": [column.value(obj, now) for column in self._columns], "object": shown}


def _is_listed(kind: Kind) -> bool:
    return "list" in kind.verbs

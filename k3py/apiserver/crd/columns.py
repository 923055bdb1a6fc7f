"""Columns of custom resources by additionalPrinterColumns.

Source: k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor/tableconvertor.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.columns import AGE, NAME
from k3py.api.duration import age_of
from k3py.api.kind import Column
from k3py.apiserver.crd.json_path import PathError, compile_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from k3py.jsontypes import JsonObject, JsonValue

_AGE: Final = Column(
    name="Age",
    type="date",
    description="CreationTimestamp is a timestamp representing the server time when this object was created. "
    "It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this "
    "value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. "
    "More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
    value=AGE.value,
)


def make_columns(definitions: Sequence[JsonObject] | None) -> tuple[Column, ...]:
    """Return Name and the defined columns; Name and Age when there are none, or one of them cannot be understood."""
    if not definitions:
        return (NAME, _AGE)
    try:
        return (NAME, *(_column(one) for one in definitions))
    except PathError:
        return (NAME, _AGE)


def _column(definition: JsonObject) -> Column:
    kind = definition.get("type", "string")
    path = definition["jsonPath"]
    description = definition.get("description") or (
        f"Custom resource definition column (in JSONPath format): {path}"
    )
    return Column(
        name=definition["name"],
        type=kind,
        format=definition.get("format") or "",
        description=description,
        priority=definition.get("priority") or 0,
        value=_cell(compile_path(path), kind),
    )


def _cell(
    find: Callable[[JsonValue], list[JsonValue]], kind: str
) -> Callable[[JsonObject, datetime], JsonValue]:
    def value(obj: JsonObject, now: datetime) -> JsonValue:
        found = find(obj)
        return _cell_of(found[0], kind, now) if found else None

    return value


def _cell_of(value: JsonValue, kind: str, now: datetime) -> JsonValue:
    match kind:
        case "integer":
            if isinstance(value, bool):
                return None
            return int(value) if isinstance(value, int | float) else None
        case "number":
            return value if isinstance(value, int | float) and not isinstance(value, bool) else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date":
            if not isinstance(value, str):
                return "<invalid>"
            try:
                return age_of(value, now)
            except ValueError:
                return "<invalid>"
    return _text(value)


def _text(value: JsonValue) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()

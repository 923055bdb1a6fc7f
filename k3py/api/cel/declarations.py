"""Declarations of structural schemas: types, sizes, names of fields, and how JSON becomes CEL's values.

Source: k8s.io/apiserver/pkg/cel/common/schemas.go, pkg/cel/{escaping,limits}.go v0.35.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final

from k3py.api.cel.errors import EvaluationFault
from k3py.api.cel.libraries.times import parse_duration, parse_timestamp
from k3py.api.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    MOST_REQUEST_BYTES,
    STRING,
    TIMESTAMP,
    CelType,
    Declaration,
    list_of,
    map_of,
)  # fmt: skip
from k3py.api.cel.values import MapList, SetList

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.jsontypes import JsonObject, JsonValue

_MOST_TEXT: Final = MOST_REQUEST_BYTES - 2
_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_./-]*\Z")
_WORDS: Final = re.compile(r"__|[.\-/]")
_ESCAPES: Final = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
RESERVED: Final = frozenset(
    ("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
     "let", "loop", "package", "namespace", "return", "var", "void", "while")
)  # fmt: skip
_METADATA: Final = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}},
}


def escape_name(name: str) -> str | None:
    """Return how expressions call a field, None when they cannot."""
    if not _NAME.match(name):
        return None
    if name in RESERVED:
        return f"__{name}__"
    return _WORDS.sub(lambda found: _ESCAPES[found[0]], name)


def declare(schema: JsonObject, *, is_resource: bool = False, path: str = "object") -> Declaration | None:
    """Return the declaration of a schema; None when nothing is known of its values. `path` names object types apart."""
    if schema.get("x-kubernetes-int-or-string"):
        return Declaration(DYN, most=_MOST_TEXT, least_bytes=1)
    match schema.get("type"):
        case "array":
            return _declare_list(schema, path)
        case "object":
            return _declare_object(schema, path, is_resource=is_resource)
        case "string":
            return _declare_string(schema)
        case "boolean":
            return Declaration(BOOL, most=0, least_bytes=4)
        case "number":
            return Declaration(DOUBLE, most=0, least_bytes=1, convert=_to_double)
        case "integer":
            return Declaration(INT, most=0, least_bytes=1, convert=_to_int)
    return None


def _embedded(schema: JsonObject) -> bool:
    return bool(schema.get("x-kubernetes-embedded-resource"))


def _declare_list(schema: JsonObject, path: str) -> Declaration | None:
    items = schema.get("items")
    if not isinstance(items, dict):
        return None
    element = declare(items, is_resource=_embedded(items), path=f"{path}.@items")
    if element is None:
        return None
    most = schema.get("maxItems")
    if most is None:
        most = (MOST_REQUEST_BYTES - 2) // (element.least_bytes + 1)
    return Declaration(
        list_of(element.type),
        most=max(most, 0),
        least_bytes=2,
        element=element,
        convert=_list_converter(schema, element.convert),
    )


def _declare_object(schema: JsonObject, path: str, *, is_resource: bool) -> Declaration | None:
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict):
        element = declare(additional, is_resource=_embedded(additional), path=f"{path}.@values")
        if element is None:
            return None
        most = schema.get("maxProperties")
        if most is None:
            most = (MOST_REQUEST_BYTES - 2) // (element.least_bytes + 6)
        convert = element.convert
        return Declaration(
            map_of(STRING, element.type),
            most=max(most, 0),
            least_bytes=2,
            element=element,
            key=Declaration(STRING, most=_MOST_TEXT, least_bytes=2),
            convert=None if convert is None else lambda value: _convert_entries(value, convert),
        )
    properties = dict(schema.get("properties") or {})
    if is_resource:
        properties |= {"kind": {"type": "string"}, "apiVersion": {"type": "string"}, "metadata": _METADATA}
    needed = schema.get("required") or ()
    fields: dict[str, Declaration] = {}
    names: dict[str, str] = {}
    converters: dict[str, Callable[[JsonValue], JsonValue]] = {}
    least = 2
    for name, one in properties.items():
        found = declare(one, is_resource=_embedded(one), path=f"{path}.{name}")
        if found is None:
            continue
        if (escaped := escape_name(name)) is not None:
            fields[escaped], names[escaped] = found, name
        if found.convert is not None:
            converters[name] = found.convert
        if name in needed and one.get("default") is None:
            least += len(name) + found.least_bytes + 4
    return Declaration(
        CelType(path),
        most=0,
        least_bytes=least,
        fields=fields,
        names=names,
        convert=_object_converter(converters) if converters else None,
    )


def _declare_string(schema: JsonObject) -> Declaration:
    most = schema.get("maxLength")
    match schema.get("format"):
        case "byte":
            return Declaration(
                BYTES, most=_MOST_TEXT if most is None else max(most, 0), least_bytes=2, convert=_to_bytes
            )
        case "duration":
            return Declaration(DURATION, most=32, least_bytes=4, convert=_to_duration)
        case "date":
            return Declaration(TIMESTAMP, most=10, least_bytes=12, convert=_to_date)
        case "date-time":
            return Declaration(TIMESTAMP, most=48, least_bytes=22, convert=_to_time)
    if most is not None:
        return Declaration(STRING, most=max(most, 0) * 4, least_bytes=2)
    if enum := schema.get("enum"):
        longest = max((len(str(one).encode()) for one in enum), default=0)
        return Declaration(STRING, most=longest, least_bytes=2)
    return Declaration(STRING, most=_MOST_TEXT, least_bytes=2)


# --- from JSON -------------------------------------------------------------------------------------------------------


def _to_double(value: JsonValue) -> JsonValue:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _to_int(value: JsonValue) -> JsonValue:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _to_bytes(value: JsonValue) -> JsonValue:
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise EvaluationFault(f"illegal base64 data: {value}") from error


def _to_duration(value: JsonValue) -> JsonValue:
    return parse_duration(value) if isinstance(value, str) else value


def _to_date(value: JsonValue) -> JsonValue:
    return parse_timestamp(f"{value}T00:00:00Z") if isinstance(value, str) else value


def _to_time(value: JsonValue) -> JsonValue:
    return parse_timestamp(value.replace(" ", "T").upper()) if isinstance(value, str) else value


def _convert_entries(value: JsonValue, convert: Callable[[JsonValue], JsonValue]) -> JsonValue:
    return {key: convert(one) for key, one in value.items()} if isinstance(value, dict) else value


def _object_converter(
    converters: dict[str, Callable[[JsonValue], JsonValue]],
) -> Callable[[JsonValue], JsonValue]:
    def convert(value: JsonValue) -> JsonValue:
        if not isinstance(value, dict):
            return value
        return {key: converters[key](one) if key in converters else one for key, one in value.items()}

    return convert


def _list_converter(
    schema: JsonObject, convert: Callable[[JsonValue], JsonValue] | None
) -> Callable[[JsonValue], JsonValue] | None:
    kind = schema.get("x-kubernetes-list-type")
    keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
    if convert is None and kind not in ("set", "map"):
        return None

    def make(value: JsonValue) -> JsonValue:
        if not isinstance(value, list):
            return value
        values = value if convert is None else [convert(one) for one in value]
        if kind == "set":
            return SetList(values)
        return MapList(values, keys) if kind == "map" else values

    return make

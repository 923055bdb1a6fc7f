"""The protobuf form of `/openapi/v2`, which kubectl asks for where v3 does not know a kind (List, kinds of nobody).

Only the parts of Swagger 2.0 that documents of API servers use have field numbers here. Other keys are left out, as an old reader of
protobuf would leave them: custom resources and other servers bring documents that nobody here has seen.
Source: github.com/google/gnostic-models v0.7.0 openapiv2/OpenAPIv2.proto.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import orjson

from k3py.wire.varint import FIXED64, VARINT, put_bytes, put_tag, put_varint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from k3py.jsontypes import JsonObject, JsonValue

MEDIA_TYPE: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
ALIASES: Final = (MEDIA_TYPE, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")

_Fields = dict[str, tuple[int, str]]

# message → JSON key → field number and type. Types: str, bool, int, double, any; "X" a message, "X*" a list, "X{}" a message whose only entries
# are name → X. "x-" = the number of vendor extensions.
_MESSAGES: Final[dict[str, _Fields]] = {
    "Document": {
        "swagger": (1, "str"),
        "info": (2, "Info"),
        "paths": (8, "Paths"),
        "definitions": (9, "Schema{}"),
        "security": (12, "Requirement*"),
        "securityDefinitions": (13, "Security{}"),
        "x-": (16, ""),
    },
    "Info": {"title": (1, "str"), "version": (2, "str"), "description": (3, "str"), "x-": (7, "")},
    "PathItem": {
        "get": (2, "Operation"),
        "put": (3, "Operation"),
        "post": (4, "Operation"),
        "delete": (5, "Operation"),
        "options": (6, "Operation"),
        "head": (7, "Operation"),
        "patch": (8, "Operation"),
        "parameters": (9, "Parameter*"),
        "x-": (10, ""),
    },
    "Operation": {
        "tags": (1, "str*"),
        "summary": (2, "str"),
        "description": (3, "str"),
        "operationId": (5, "str"),
        "produces": (6, "str*"),
        "consumes": (7, "str*"),
        "parameters": (8, "Parameter*"),
        "responses": (9, "Responses"),
        "schemes": (10, "str*"),
        "deprecated": (11, "bool"),
        "x-": (13, ""),
    },
    "Response": {"description": (1, "str"), "schema": (2, "SchemaItem"), "x-": (5, "")},
    "body": {
        "description": (1, "str"),
        "name": (2, "str"),
        "in": (3, "str"),
        "required": (4, "bool"),
        "schema": (5, "Schema"),
        "x-": (6, ""),
    },
    "query": {
        "required": (1, "bool"),
        "in": (2, "str"),
        "description": (3, "str"),
        "name": (4, "str"),
        "type": (6, "str"),
        "format": (7, "str"),
        "uniqueItems": (20, "bool"),
        "x-": (23, ""),
    },
    "path": {
        "required": (1, "bool"),
        "in": (2, "str"),
        "description": (3, "str"),
        "name": (4, "str"),
        "type": (5, "str"),
        "format": (6, "str"),
        "uniqueItems": (19, "bool"),
        "x-": (22, ""),
    },
    "Schema": {
        "$ref": (1, "str"),
        "format": (2, "str"),
        "title": (3, "str"),
        "description": (4, "str"),
        "default": (5, "any"),
        "multipleOf": (6, "double"),
        "maximum": (7, "double"),
        "exclusiveMaximum": (8, "bool"),
        "minimum": (9, "double"),
        "exclusiveMinimum": (10, "bool"),
        "maxLength": (11, "int"),
        "minLength": (12, "int"),
        "pattern": (13, "str"),
        "maxItems": (14, "int"),
        "minItems": (15, "int"),
        "uniqueItems": (16, "bool"),
        "maxProperties": (17, "int"),
        "minProperties": (18, "int"),
        "required": (19, "str*"),
        "enum": (20, "any*"),
        "additionalProperties": (21, "Additional"),
        "type": (22, "strings"),
        "items": (23, "Items"),
        "allOf": (24, "Schema*"),
        "properties": (25, "Schema{}"),
        "discriminator": (26, "str"),
        "readOnly": (27, "bool"),
        "externalDocs": (29, "ExternalDocs"),
        "example": (30, "any"),
        "x-": (31, ""),
    },
    "ExternalDocs": {"description": (1, "str"), "url": (2, "str"), "x-": (3, "")},
    "ApiKey": {
        "type": (1, "str"),
        "name": (2, "str"),
        "in": (3, "str"),
        "description": (4, "str"),
        "x-": (5, ""),
    },
}


def encode_document(document: JsonObject) -> bytes:
    """Return the message `openapi.v2.Document` of a Swagger 2.0 document, without the keys that have no field number here."""
    return bytes(_encode("Document", document))


def _encode(message: str, value: Mapping[str, JsonValue]) -> bytearray:
    out = bytearray()
    fields = _MESSAGES[message]
    for key, one in value.items():
        if key.startswith("x-"):
            if "x-" in fields:
                put_bytes(out, fields["x-"][0], _named(key, _any(one)))
            continue
        if key not in fields:
            continue
        number, kind = fields[key]
        if kind.endswith("{}"):
            put_bytes(out, number, _encode_named(kind[:-2], one))
        elif kind.endswith("*"):
            for item in one:
                put_bytes(out, number, _value(kind[:-1], item))
        elif kind in ("bool", "int"):
            if one:
                put_tag(out, number, VARINT)
                put_varint(out, int(one))
        elif kind == "double":
            put_tag(out, number, FIXED64)
            out += struct.pack("<d", one)
        else:
            put_bytes(out, number, _value(kind, one))
    return out


def _value(kind: str, value: JsonValue) -> bytes | bytearray:
    if kind == "str":
        return str(value).encode()
    special = _SPECIALS.get(kind)
    return special(value) if special is not None else _encode(kind, value)


def _encode_named(kind: str, values: Mapping[str, JsonValue]) -> bytearray:
    out = bytearray()
    for name, one in values.items():
        put_bytes(out, 1, _named(name, _value(kind, one)))
    return out


def _named(name: str, value: bytes | bytearray) -> bytearray:
    """Return a pair of name and message (NamedAny, NamedSchema, …)."""
    out = bytearray()
    put_bytes(out, 1, name.encode())
    put_bytes(out, 2, value)
    return out


def _wrap(value: bytes | bytearray, *numbers: int) -> bytes | bytearray:
    """Put a message into others of which it is the only field, innermost first."""
    for number in numbers:
        out = bytearray()
        put_bytes(out, number, value)
        value = out
    return value


def _any(value: JsonValue) -> bytes | bytearray:
    """Return an Any: its YAML text, of which JSON is a part."""
    return _wrap(orjson.dumps(value) + b"\n", 2)


def _paths(value: Mapping[str, JsonValue]) -> bytearray:
    out = bytearray()
    for path, item in value.items():
        put_bytes(out, 2, _named(path, _encode("PathItem", item)))
    return out


def _responses(value: Mapping[str, JsonValue]) -> bytearray:
    out = bytearray()
    for code, response in value.items():
        put_bytes(out, 1, _named(code, _wrap(_encode("Response", response), 1)))
    return out


def _parameter(value: Mapping[str, JsonValue]) -> bytes | bytearray:
    """Return a ParametersItem: parameter(1) → body(1), or non-body(2) → query(3) or path(4)."""
    if value["in"] == "body":
        return _wrap(_encode("body", value), 1, 1)
    number = 3 if value["in"] == "query" else 4
    return _wrap(_encode("query" if number == 3 else "path", value), number, 2, 1)


def _additional(value: JsonValue) -> bytes | bytearray:
    """Return an AdditionalPropertiesItem: a schema(1) or a boolean(2)."""
    if isinstance(value, bool):
        out = bytearray()
        put_tag(out, 2, VARINT)
        put_varint(out, int(value))
        return out
    return _wrap(_encode("Schema", value), 1)


def _strings(value: JsonValue) -> bytearray:
    """Return a repeated string(1): a TypeItem or StringArray."""
    out = bytearray()
    for one in [value] if isinstance(value, str) else value:
        put_bytes(out, 1, str(one).encode())
    return out


_SPECIALS: Final[dict[str, Callable[[JsonValue], bytes | bytearray]]] = {
    "any": _any,
    "strings": _strings,
    "Paths": _paths,
    "Responses": _responses,
    "Parameter": _parameter,
    "Additional": _additional,
    "Requirement": lambda value: _encode_named("strings", value),
    "Security": lambda value: _wrap(_encode("ApiKey", value), 2),
    "SchemaItem": lambda value: _wrap(_encode("Schema", value), 1),
    "Items": lambda value: _wrap(_encode("Schema", value), 1),
}

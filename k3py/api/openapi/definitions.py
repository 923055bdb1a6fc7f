"""Schemas of types in OpenAPI v2 and v3, from the type table and the descriptions.

Source: the documents of kube-apiserver v1.35; k8s.io/kube-openapi's conversion of Go types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from k3py.api.schema.table import SCALARS

if TYPE_CHECKING:
    from k3py.api.schema.enums import Enums
    from k3py.api.schema.schemas import Schemas
    from k3py.api.schema.table import BlockFile, Field, ObjectType
    from k3py.jsontypes import JsonObject, JsonValue

Dialect = Literal["v2", "v3"]

PREFIX: Final[dict[Dialect, str]] = {"v2": "#/definitions/", "v3": "#/components/schemas/"}
PATCH: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch"
DELETE_OPTIONS: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
STATUS: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.Status"
OBJECT_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

_SCALARS: Final[dict[str, JsonObject]] = {
    "string": {"type": "string"},
    "bool": {"type": "boolean"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "double": {"type": "number", "format": "double"},
    "bytes": {"type": "string", "format": "byte"},
}
_ZERO: Final[dict[str, JsonValue]] = {"string": "", "bool": False, "int32": 0, "int64": 0, "double": 0}
_SPECIALS: Final[dict[Dialect, dict[str, JsonObject]]] = {
    "v2": {
        "quantity": {"type": "string"},
        "intorstring": {"type": "string", "format": "int-or-string"},
    },
    "v3": {
        "quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
        "intorstring": {"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"},
    },
}
_COMMON_SPECIALS: Final[dict[str, JsonObject]] = {
    "time": {"type": "string", "format": "date-time"},
    "microtime": {"type": "string", "format": "date-time"},
    "duration": {"type": "string"},
    "rawextension": {"type": "object"},
    "unknown": {"type": "object"},
    "list": {"type": "array", "items": {"type": "string"}},
}
# Required fields that types share with others, and that the table therefore does not know.
_REQUIRED: Final[dict[str, tuple[str, ...]]] = {"io.k8s.api.core.v1.EphemeralContainer": ("name",)}


class DefinitionWriter:
    """Collects the definitions that a document refers to; one instance a document."""

    def __init__(self, schemas: Schemas, texts: BlockFile, enums: Enums, dialect: Dialect) -> None:
        self._schemas = schemas
        self._texts = texts
        self._enums = enums
        self._dialect = dialect
        self.definitions: dict[str, JsonObject] = {}

    def refer(self, name: str) -> JsonObject:
        """Return a reference to a type and make sure that it, and what it refers to, is defined."""
        if name not in self.definitions:
            self.definitions[name] = {}
            self.definitions[name] = self._define(name)
        return {"$ref": PREFIX[self._dialect] + name}

    def texts_of(self, name: str) -> dict[str, str]:
        """Return the descriptions of a type's fields."""
        record = self._texts.find(name)
        return record[1] if record else {}

    def _define(self, name: str) -> JsonObject:
        found = self._schemas.find(name)
        record = self._texts.find(name)
        text, field_texts = record or ("", {})
        result: JsonObject = {"description": text} if text else {}
        if found is None or found.special:
            special = found.special if found is not None else ""
            shapes = _SPECIALS[self._dialect].get(special) or _COMMON_SPECIALS.get(special)
            return result | (
                shapes
                if shapes is not None
                else {"type": "object"}
                if name.endswith((".FieldsV1", ".Patch"))
                else {}
            )
        required = [one.json for one in found.json_fields.values() if one.required]
        required += _REQUIRED.get(name, ())
        if required:
            result["required"] = required
        result["type"] = "object"
        properties = self._properties(found, field_texts)
        if properties:
            result["properties"] = properties
        if found.map_type:
            result["x-kubernetes-map-type"] = found.map_type
        if found.unions is not None:
            result["x-kubernetes-unions"] = found.unions
        if gvks := _gvks(found):
            result["x-kubernetes-group-version-kind"] = gvks
        return result

    def _properties(self, found: ObjectType, texts: dict[str, str]) -> JsonObject:
        properties: JsonObject = {}
        if found.kinds:
            properties = {name: {"type": "string"} for name in ("apiVersion", "kind")}
        for name, one in found.json_fields.items():
            properties[name] = self._property(one)
        for name, text in texts.items():
            if name in properties:
                properties[name] = {"description": text, **properties[name]}
        for name, one in properties.items():
            self._add_enum(found.name, name, one)
        return dict(sorted(properties.items()))

    def _add_enum(self, type_name: str, name: str, schema: JsonObject) -> None:
        """Tell the values that a field takes, in the schema and at the end of its description."""
        enum = self._enums.find(type_name, name)
        if enum is None:
            return
        if "description" in schema:
            schema["description"] += enum.text
        inner = schema.get("items") or schema.get("additionalProperties") or schema
        inner["enum"] = list(enum.values)

    def _property(self, one: Field) -> JsonObject:
        result: JsonObject
        if one.card == "rep":
            result = {"type": "array", "items": self._value(one.type, with_default=True)}
        elif one.card == "map":
            result = {"type": "object", "additionalProperties": self._value(one.type, with_default=True)}
        else:
            result = self._value(
                one.type, with_default=not one.pointer and not (one.omit_empty and one.type in SCALARS)
            )
        if self._dialect == "v3" and one.json == "protocol" and one.default is not None:
            result["default"] = one.default  # the key of port lists; other defaults are not declared
        extensions: JsonObject = {
            "x-kubernetes-list-map-keys": list(one.list_keys),
            "x-kubernetes-list-type": one.list_type,
            "x-kubernetes-map-type": one.map_type,
            "x-kubernetes-patch-merge-key": one.merge_key,
            "x-kubernetes-patch-strategy": one.patch_strategy,
        }
        return result | {key: value for key, value in extensions.items() if value}

    def _value(self, name: str, *, with_default: bool) -> JsonObject:
        """Return the schema of a value; v3 tells the zero of Go's non-pointers as default, and wraps references in allOf."""
        v3 = self._dialect == "v3"
        if name in SCALARS:
            result = dict(_SCALARS[name])
            if v3 and with_default and name in _ZERO:
                result["default"] = _ZERO[name]
            return result
        found = self._schemas.find(name)
        special = found.special if found is not None else ""
        if special == "list":
            return dict(_COMMON_SPECIALS["list"])
        reference = self.refer(name)
        if not v3:
            return reference
        wrapped: JsonObject = {"allOf": [reference]}
        return {"default": {}, **wrapped} if with_default and not special else wrapped


def _gvks(found: ObjectType) -> list[JsonObject]:
    short = found.name.rpartition(".")[2]
    versions = found.gvks or tuple(kind.split(" ")[0] for kind in found.kinds if not kind.startswith("*"))
    result = []
    for version in versions:
        group, _, bare = version.rpartition("/")
        result.append({"group": group, "kind": short, "version": bare})
    return result

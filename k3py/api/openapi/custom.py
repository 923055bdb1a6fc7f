"""Schemas of custom resources in OpenAPI: as written for v3, without what Swagger 2.0 or its readers cannot take for v2.

Source: k8s.io/apiextensions-apiserver/pkg/controller/openapi/{builder,v2/conversion}.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.api.openapi.definitions import Dialect
    from k3py.jsontypes import JsonObject

_INT_OR_STRING: Final = ({"type": "integer"}, {"type": "string"})
_NOT_IN_V2: Final = ("allOf", "anyOf", "oneOf", "not", "nullable", "default", "x-kubernetes-validations")
_FORMATS_OF_V2: Final = frozenset(
    ("int32", "int64", "float", "double", "byte", "date", "date-time", "password", "int-or-string", "binary")
)
_PRESERVE: Final = "x-kubernetes-preserve-unknown-fields"
_CONVENTIONS: Final = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_EMBEDDED: Final[dict[str, JsonObject]] = {
    "apiVersion": {
        "description": f"apiVersion defines the versioned schema of this representation of an object. More info: {_CONVENTIONS}#resources",
        "type": "string",
    },
    "kind": {
        "description": "kind is a string value representing the type of this object. In CamelCase. "
        f"More info: {_CONVENTIONS}#types-kinds",
        "type": "string",
    },
}


def custom_schema(schema: JsonObject, dialect: Dialect, resource: Mapping[str, JsonObject]) -> JsonObject:
    """Return the published form of a structural schema.

    Args:
        schema: of a whole resource; read-only.
        dialect: "v2" or "v3".
        resource: what every resource has: apiVersion, kind and metadata.
    """
    if not schema or (dialect == "v2" and schema.get(_PRESERVE)):
        return {"type": "object"}  # kubectl takes listed fields as the only ones
    result = _publish(schema, dialect, resource["metadata"])
    result["properties"] = dict(sorted({**result.get("properties", {}), **resource}.items()))
    return result


def _publish(schema: JsonObject, dialect: Dialect, metadata: JsonObject) -> JsonObject:
    result = {
        key: value
        for key, value in schema.items()
        if key not in ("properties", "items", "additionalProperties")
    }
    properties = {
        key: _publish(one, dialect, metadata) for key, one in (schema.get("properties") or {}).items()
    }
    is_open = dialect == "v2" and schema.get(_PRESERVE)
    if schema.get("x-kubernetes-embedded-resource") and not is_open:
        properties |= {**_EMBEDDED, "metadata": metadata}
        required = list(schema.get("required") or ())
        result["required"] = [*required, *(one for one in ("kind", "apiVersion") if one not in required)]
    if properties:
        result["properties"] = dict(sorted(properties.items()))
    for key in ("items", "additionalProperties"):
        one = schema.get(key)
        if isinstance(one, dict):
            result[key] = _publish(one, dialect, metadata)
        elif one is not None:
            result[key] = one
    if schema.get("x-kubernetes-int-or-string") and dialect == "v3":
        result.setdefault("anyOf", list(_INT_OR_STRING))
    return _for_v2(result, schema) if dialect == "v2" else result


def _for_v2(result: JsonObject, schema: JsonObject) -> JsonObject:
    """Take away what kubectl would misunderstand (Source: v2/conversion.go ToStructuralOpenAPIV2)."""
    result = {key: value for key, value in result.items() if key not in _NOT_IN_V2}
    if schema.get("nullable"):
        for key in ("type", "items", "properties"):
            result.pop(key, None)
    if schema.get(_PRESERVE):
        result.pop("items", None)
        result.pop("properties", None)
    if result.get("type") == "array" and "items" not in result:
        del result["type"]
    if schema.get(_PRESERVE) and result.get("type") == "object":
        del result["type"]
    if "required" in result:
        nullable = {name for name, one in (schema.get("properties") or {}).items() if one.get("nullable")}
        values = schema.get("additionalProperties")
        is_dropped = isinstance(values, dict) and values.get("nullable")
        required = [] if is_dropped else [one for one in result["required"] if one not in nullable]
        result["required"] = required
        if not required:
            del result["required"]
    if "format" in result and result["format"] not in _FORMATS_OF_V2:
        del result["format"]
    return result

"""Schemas of custom resources in OpenAPI: as written for v3, without what Swagger 2.0 or its readers cannot take for v2.

Source: k8s.io/apiextensions-apiserver/pkg/controller/openapi/{builder,v2/conversion}.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from k3py.api.openapi.definitions import Dialect
    from k3py.jsontypes import JsonObject

_INT_OR_STRING: Final = ({"type": "integer"}, {"type": "string"})
_NOT_IN_V2: Final = ("allOf", "anyOf", "oneOf", "not", "nullable", "default", "x-kubernetes-validations")
_FORMATS_OF_V2: Final = frozenset(
    ("int32", "int64", "float", "double", "byte", "date", "date-time", "password", "int-or-string", "binary")
)
_TYPE_META: Final = ("apiVersion", "kind")


def custom_schema(
    schema: JsonObject, dialect: Dialect, metadata: JsonObject, *, is_root: bool = True
) -> JsonObject:
    """Return the published form of a structural schema; `metadata` is a reference to ObjectMeta."""
    result = {
        key: value
        for key, value in schema.items()
        if key not in ("properties", "items", "additionalProperties")
    }
    is_resource = is_root or bool(schema.get("x-kubernetes-embedded-resource"))
    properties = {
        key: custom_schema(one, dialect, metadata, is_root=False)
        for key, one in (schema.get("properties") or {}).items()
    }
    if is_resource:
        for key in _TYPE_META:
            properties.setdefault(key, {"type": "string"})
        properties["metadata"] = metadata
    if properties:
        result["properties"] = dict(sorted(properties.items()))
    for key in ("items", "additionalProperties"):
        one = schema.get(key)
        if isinstance(one, dict):
            result[key] = custom_schema(one, dialect, metadata, is_root=False)
        elif one is not None:
            result[key] = one
    if schema.get("x-kubernetes-int-or-string") and dialect == "v3":
        result.setdefault("anyOf", list(_INT_OR_STRING))
    return _for_v2(result, is_resource=is_resource) if dialect == "v2" else result


def _for_v2(schema: JsonObject, *, is_resource: bool) -> JsonObject:
    result = {key: value for key, value in schema.items() if key not in _NOT_IN_V2}
    if schema.get("nullable"):
        for key in ("type", "items", "properties"):
            result.pop(key, None)
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        # kubectl takes listed fields as the only ones
        result.pop("items", None)
        if not is_resource:
            result.pop("properties", None)
    if "format" in result and result["format"] not in _FORMATS_OF_V2:
        del result["format"]
    return result

"""apiVersion, kind and metadata of resources inside resources (x-kubernetes-embedded-resource).

Source: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta/{algorithm,validation}.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import FieldError, invalid_value, required
from k3py.api.names import find_label_value_faults, find_path_segment_faults, find_qualified_name_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from k3py.jsontypes import JsonObject, JsonValue

MetadataDecoder = "Callable[[JsonObject], tuple[JsonObject, list[str]]]"
_KEY: Final = "x-kubernetes-embedded-resource"


def has_embedded(schema: JsonObject) -> bool:
    """Say whether a schema has embedded resources below its root."""
    return any(one.get(_KEY) or has_embedded(one) for one in _inner(schema))


def _inner(schema: JsonObject) -> list[JsonObject]:
    inner = list((schema.get("properties") or {}).values())
    return inner + [
        one for key in ("items", "additionalProperties") if isinstance(one := schema.get(key), dict)
    ]


def _children(value: JsonValue, schema: JsonObject, path: str) -> Iterator[tuple[JsonValue, JsonObject, str]]:
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        additional = schema.get("additionalProperties")
        for key, one in value.items():
            if key in properties:
                yield one, properties[key], f"{path}.{key}" if path else key
            elif isinstance(additional, dict):
                yield one, additional, f"{path}[{key}]"
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for index, one in enumerate(value):
            yield one, schema["items"], f"{path}[{index}]"


def coerce_embedded(
    value: JsonValue,
    schema: JsonObject,
    decode: Callable[[JsonObject], tuple[JsonObject, list[str]]],
    path: str = "",
) -> list[str]:
    """Bring metadata of embedded resources into canonical form, in place; return paths of unknown fields in them.

    Raises:
        K3pyError: what `decode` raises for a value of a wrong type.
    """
    unknown: list[str] = []
    for one, inner, where in _children(value, schema, path):
        if inner.get(_KEY) and isinstance(one, dict) and isinstance(one.get("metadata"), dict):
            one["metadata"], found = decode(one["metadata"])
            unknown += [f"{where}.metadata.{name}" for name in found]
        unknown += coerce_embedded(one, inner, decode, where)
    return unknown


def validate_embedded(value: JsonValue, schema: JsonObject, path: str = "") -> list[FieldError]:
    """Check apiVersion, kind and metadata of embedded resources."""
    errors: list[FieldError] = []
    for one, inner, where in _children(value, schema, path):
        if inner.get(_KEY) and isinstance(one, dict):
            errors += validate_type_meta(one, where)
        errors += validate_embedded(one, inner, where)
    return errors


def validate_type_meta(value: JsonObject, path: str) -> list[FieldError]:
    """Check one embedded resource."""
    errors: list[FieldError] = []
    at = f"{path}." if path else ""
    version, kind = value.get("apiVersion"), value.get("kind")
    if "apiVersion" not in value:
        errors.append(required(f"{at}apiVersion", "must not be empty"))
    elif not version or not isinstance(version, str) or version.count("/") > 1 or version.startswith("/"):
        errors.append(invalid_value(f"{at}apiVersion", version, "unexpected GroupVersion string"))
    if "kind" not in value:
        errors.append(required(f"{at}kind", "must not be empty"))
    elif not kind or not isinstance(kind, str) or not _is_kind(kind):
        errors.append(invalid_value(f"{at}kind", kind, "must be a DNS-1035 label when lower-cased"))
    metadata = value.get("metadata")
    if isinstance(metadata, dict):
        errors += _validate_metadata(metadata, f"{at}metadata")
    return errors


def _is_kind(kind: str) -> bool:
    return kind[0].isalpha() and all(one.isalnum() or one == "-" for one in kind) and len(kind) <= 63


def _validate_metadata(metadata: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    name = metadata.get("name")
    if isinstance(name, str) and name:
        errors += [invalid_value(f"{path}.name", name, fault) for fault in find_path_segment_faults(name)]
    for field in ("labels", "annotations"):
        for key, value in (metadata.get(field) or {}).items():
            faults = find_qualified_name_faults(key.lower() if field == "annotations" else key)
            errors += [invalid_value(f"{path}.{field}", key, fault) for fault in faults]
            if field == "labels":
                errors += [
                    invalid_value(f"{path}.{field}", value, fault) for fault in find_label_value_faults(value)
                ]
    return errors

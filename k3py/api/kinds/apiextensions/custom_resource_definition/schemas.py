"""Checks of the schemas in CustomResourceDefinitions: they must be structural, and their defaults and rules must fit them.

Source: k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go,
pkg/apiserver/schema/{convert,validation,defaulting/validation}.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from k3py.api.fielderror import FieldError, forbidden_field, invalid_value, not_supported, required
from k3py.api.go_regex import PatternError, compile_pattern
from k3py.api.object import deep_copy
from k3py.api.structural.list_types import find_duplicates
from k3py.api.structural.metadata import validate_embedded, validate_type_meta
from k3py.api.structural.pruning import prune
from k3py.api.structural.rules import has_rules
from k3py.api.structural.values import compile_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.jsontypes import JsonObject

_TYPES: Final = ("array", "boolean", "integer", "number", "object", "string")
_FORBIDDEN: Final = ("$ref", "definitions", "dependencies", "patternProperties", "additionalItems", "id")
_NOT_IN_JUNCTORS: Final = (
    "type", "description", "title", "default", "nullable", "additionalProperties", "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource", "x-kubernetes-int-or-string", "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys", "x-kubernetes-map-type", "x-kubernetes-validations",
)  # fmt: skip
_AT_ROOT_WITH_STATUS: Final = frozenset((
    "description", "type", "format", "title", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength",
    "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "multipleOf", "required", "items", "properties",
    "externalDocs", "example", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations", "x-kubernetes-map-type",
))  # fmt: skip
_SCALARS: Final = ("boolean", "integer", "number", "string")
Level = Literal["root", "field", "item"]


def validate_schema(schema: JsonObject, path: str, *, has_status: bool) -> list[FieldError]:
    """Check a version's schema; `path` ends in openAPIV3Schema."""
    errors: list[FieldError] = []
    if schema.get("nullable"):
        errors.append(forbidden_field(f"{path}.nullable", "nullable cannot be true at the root"))
    if has_status:
        others = schema.keys() - _AT_ROOT_WITH_STATUS
        errors += [
            invalid_value(path, schema, "only some fields are allowed at the root of the schema if the status "
                          f"subresource is enabled, not {one}")
            for one in sorted(others)
        ]  # fmt: skip
    if _has_dialect(schema):
        return [*errors, invalid_value(path, "", "$schema is not supported")]
    errors += _check_node(schema, path, "root")
    if not errors:
        errors += _check_defaults(schema, path, is_root=True)
    if not errors and has_rules(schema):
        from k3py.api.cel.definitions import validate_rules  # noqa: PLC0415 - few schemas have rules

        errors += validate_rules(schema, path)
    return errors


def _has_dialect(schema: JsonObject) -> bool:
    return bool(schema.get("$schema")) or any(_has_dialect(one) for _, one in children(schema))


def children(schema: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    """Yield the schemas below, with their path."""
    for key, one in (schema.get("properties") or {}).items():
        yield f".properties[{key}]", one
    for key in ("items", "additionalProperties"):
        if isinstance(one := schema.get(key), dict):
            yield f".{key}", one


def _junctors(schema: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    for key in ("allOf", "anyOf", "oneOf"):
        for index, one in enumerate(schema.get(key) or ()):
            yield f".{key}[{index}]", one
    if schema.get("not") is not None:
        yield ".not", schema["not"]


def _check_node(schema: JsonObject, path: str, level: Level) -> list[FieldError]:
    errors = [
        *_check_words(schema, path),
        *_check_type(schema, path, level),
        *_check_extensions(schema, path),
        *_check_list_type(schema, path),
    ]
    if level == "root":
        errors += _check_root(schema, path)
        errors += _check_resource(schema, path)
    for place, one in _junctors(schema):
        errors += _check_junctor(one, path + place, _may_name_types(schema, place))
    for place, one in children(schema):
        errors += _check_node(
            one, path + place, "item" if place in (".items", ".additionalProperties") else "field"
        )
    return errors


def _check_words(schema: JsonObject, path: str) -> list[FieldError]:
    errors = [
        forbidden_field(f"{path}.{word}", f"{word} is not supported")
        for word in _FORBIDDEN
        if schema.get(word)
    ]
    if schema.get("uniqueItems"):
        text = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        errors.append(forbidden_field(f"{path}.uniqueItems", text))
    if schema.get("additionalProperties") is not None and schema.get("properties"):
        text = "additionalProperties and properties are mutual exclusive"
        errors.append(forbidden_field(f"{path}.additionalProperties", text))
    if isinstance(schema.get("items"), list):
        errors.append(forbidden_field(f"{path}.items", "items must be a schema object and not an array"))
    if pattern := schema.get("pattern"):
        try:
            compile_pattern(pattern)
        except PatternError as error:
            text = f"must be a valid regular expression, but isn't: {error}"
            errors.append(invalid_value(f"{path}.pattern", pattern, text))
    return errors


def _check_type(schema: JsonObject, path: str, level: Level) -> list[FieldError]:
    kind = schema.get("type") or ""
    errors: list[FieldError] = []
    if kind == "null":
        errors.append(
            forbidden_field(f"{path}.type", "type cannot be set to null, use nullable as an alternative")
        )
    if kind and kind not in _TYPES:
        errors.append(not_supported(f"{path}.type", kind, _TYPES))
    if not kind:
        free = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
        if not free:
            what = {
                "root": "at the root",
                "field": "for specified object fields",
                "item": "for specified array items",
            }
            errors.append(required(f"{path}.type", f"must not be empty {what[level]}"))
    elif level == "root" and kind != "object":
        errors.append(invalid_value(f"{path}.type", kind, "must be object at the root"))
    if kind == "array" and schema.get("items") is None:
        errors.append(required(f"{path}.items", "must be specified"))
    return errors


def _check_extensions(schema: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    kind = schema.get("type") or ""
    keeps = schema.get("x-kubernetes-preserve-unknown-fields")
    if keeps is False:
        errors.append(
            invalid_value(f"{path}.x-kubernetes-preserve-unknown-fields", False, "must be true or undefined")
        )
    if schema.get("x-kubernetes-embedded-resource"):
        text = "must be object if x-kubernetes-embedded-resource is true"
        if kind != "object":
            errors.append(
                invalid_value(f"{path}.type", kind, text) if kind else required(f"{path}.type", text)
            )
        if not keeps and not schema.get("properties"):
            text = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
            errors.append(required(f"{path}.properties", text))
    if schema.get("x-kubernetes-int-or-string") and kind:
        errors.append(
            invalid_value(f"{path}.type", kind, "must be empty if x-kubernetes-int-or-string is true")
        )
    map_type = schema.get("x-kubernetes-map-type")
    if map_type is not None:
        if kind != "object":
            errors.append(
                invalid_value(f"{path}.type", kind, "must be object if x-kubernetes-map-type is specified")
            )
        if map_type not in ("atomic", "granular"):
            errors.append(not_supported(f"{path}.x-kubernetes-map-type", map_type, ("atomic", "granular")))
    return errors


def _check_list_type(schema: JsonObject, path: str) -> list[FieldError]:
    list_type = schema.get("x-kubernetes-list-type")
    keys = schema.get("x-kubernetes-list-map-keys") or []
    keys_path = f"{path}.x-kubernetes-list-map-keys"
    errors: list[FieldError] = []
    items = schema.get("items") if isinstance(schema.get("items"), dict) else None
    if list_type is not None:
        if schema.get("type") != "array":
            errors.append(
                invalid_value(
                    f"{path}.type",
                    schema.get("type") or "",
                    "must be array if x-kubernetes-list-type is specified",
                )
            )
        if list_type not in ("atomic", "set", "map"):
            errors.append(
                not_supported(f"{path}.x-kubernetes-list-type", list_type, ("atomic", "set", "map"))
            )
    if keys and list_type != "map":
        text = "must be map if x-kubernetes-list-map-keys is non-empty"
        errors.append(
            required(f"{path}.x-kubernetes-list-type", text)
            if list_type is None
            else invalid_value(f"{path}.x-kubernetes-list-type", list_type, text)
        )
    if list_type == "map" and not keys:
        errors.append(required(keys_path, "must not be empty if x-kubernetes-list-type is map"))
    if items is None:
        return errors
    if list_type == "set":
        errors += _check_set_items(items, path)
    if list_type == "map":
        if items.get("type") != "object":
            errors.append(
                invalid_value(
                    f"{path}.items.type",
                    items.get("type") or "",
                    "must be object if parent array's x-kubernetes-list-type is map",
                )
            )
        errors += _check_keys(keys, items, path, keys_path)
    return errors


def _check_set_items(items: JsonObject, path: str) -> list[FieldError]:
    if items.get("nullable"):
        return [
            forbidden_field(f"{path}.items.nullable", "cannot be nullable when x-kubernetes-list-type is set")
        ]
    text = "must be atomic as item of a list with x-kubernetes-list-type=set"
    if items.get("type") == "object" and items.get("x-kubernetes-map-type") != "atomic":
        return [
            invalid_value(f"{path}.items.x-kubernetes-map-type", items.get("x-kubernetes-map-type"), text)
        ]
    if items.get("type") == "array" and items.get("x-kubernetes-list-type") not in (None, "atomic"):
        return [invalid_value(f"{path}.items.x-kubernetes-list-type", items["x-kubernetes-list-type"], text)]
    return []


def _check_keys(keys: list[str], items: JsonObject, path: str, keys_path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    properties = items.get("properties") or {}
    needed = items.get("required") or ()
    if len(set(keys)) < len(keys):
        errors.append(invalid_value(keys_path, keys, "must not contain duplicate entries"))
    if not keys or items.get("type") != "object":
        return errors
    for key in dict.fromkeys(keys):
        one = properties.get(key)
        if one is None:
            errors.append(invalid_value(keys_path, key, "entries must all be names of item properties"))
            continue
        place = f"{path}.items.properties[{key}]"
        if one.get("type") not in _SCALARS:
            text = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            errors.append(invalid_value(f"{place}.type", one.get("type") or "", text))
        elif one.get("nullable"):
            errors.append(
                forbidden_field(
                    f"{place}.nullable",
                    "this property is in x-kubernetes-list-map-keys, so it cannot be nullable",
                )
            )
        elif one.get("default") is None and key not in needed:
            text = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            errors.append(required(f"{place}.default", text))
    return errors


def _check_root(schema: JsonObject, path: str) -> list[FieldError]:
    if schema.get("additionalProperties") is None:
        return []
    return [
        forbidden_field(f"{path}.additionalProperties", "additionalProperties cannot be used at the root")
    ]


def _check_resource(schema: JsonObject, path: str) -> list[FieldError]:
    """Check what a schema says of the fields that every resource has."""
    errors: list[FieldError] = []
    properties = schema.get("properties") or {}
    for key, wanted in (("metadata", "object"), ("apiVersion", "string"), ("kind", "string")):
        one = properties.get(key)
        if one is not None and (one.get("type") or wanted) != wanted:
            errors.append(invalid_value(f"{path}.properties[{key}].type", one["type"], f"must be {wanted}"))
    metadata = properties.get("metadata") or {}
    if metadata.get("type") not in (None, "object"):
        return errors
    place = f"{path}.properties[metadata]"
    others = metadata.keys() - {"type", "description", "properties", "required", "title"}
    inner = metadata.get("properties") or {}
    if others or inner.keys() - {"name", "generateName"}:
        text = (
            "must not specify anything other than name and generateName, but metadata is implicitly specified"
        )
        errors.append(forbidden_field(place, text))
    errors += [
        forbidden_field(f"{place}.properties[{key}].default", "must not be set in metadata")
        for key, one in inner.items()
        if one.get("default") is not None
    ]
    return errors


def _may_name_types(schema: JsonObject, place: str) -> bool:
    """Say whether `place` may hold the types of an int-or-string: anyOf [integer, string], directly or in allOf."""
    if not schema.get("x-kubernetes-int-or-string"):
        return False
    if place.startswith(".anyOf"):
        return _is_int_or_string(schema)
    return place == ".allOf[0]" and _is_int_or_string(schema["allOf"][0])


def _is_int_or_string(schema: JsonObject) -> bool:
    return [one.get("type") for one in schema.get("anyOf") or ()] == ["integer", "string"]


def _check_junctor(schema: JsonObject, path: str, may_name_types: bool) -> list[FieldError]:
    errors = [
        forbidden_field(f"{path}.{word}", "must be undefined to be structural")
        for word in _NOT_IN_JUNCTORS
        if schema.get(word) not in (None, "", False) and not (word == "type" and may_name_types)
    ]
    errors += _check_words(
        {key: value for key, value in schema.items() if key != "additionalProperties"}, path
    )
    for place, one in _junctors(schema):
        errors += _check_junctor(one, path + place, may_name_types)
    for place, one in children(schema):
        if place != ".additionalProperties":
            errors += _check_junctor(one, path + place, may_name_types=False)
    return errors


def _check_defaults(schema: JsonObject, path: str, *, is_root: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    default = schema.get("default")
    if default is not None:
        errors += _check_default(schema, f"{path}.default")
    for place, one in children(schema):
        if not (is_root and place == ".properties[metadata]"):
            errors += _check_defaults(one, path + place, is_root=False)
    return errors


def _check_default(schema: JsonObject, path: str) -> list[FieldError]:
    default = schema["default"]
    pruned = deep_copy({"x": default})
    lost = prune(pruned, {"properties": {"x": schema}})
    if lost:
        return [invalid_value(path, default, f"must not have unknown fields: {', '.join(lost)}")]
    found: list[FieldError] = []
    compile_values(schema)(default, "", found)
    if isinstance(default, dict) and schema.get("x-kubernetes-embedded-resource"):
        found += validate_type_meta(default, "")
    found += validate_embedded(default, schema)
    found += find_duplicates(default, schema)
    if not found and has_rules(schema):
        from k3py.api.cel.rules import RuleSet  # noqa: PLC0415 - few schemas have rules

        found += RuleSet(schema, is_root=False).run(default, None)
    return [
        FieldError(_joined(path, one.path), one.reason, one.detail.removeprefix(" in body "), one.value)
        for one in found
    ]


def _joined(path: str, inner: str) -> str:
    return f"{path}.{inner}" if inner and inner != "<nil>" else path

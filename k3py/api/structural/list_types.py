"""Lists that are sets or maps hold each entry or key once.

Source: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype/validation.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from k3py.api.fielderror import FieldError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject, JsonValue


def find_duplicates(value: JsonValue, schema: JsonObject, path: str = "") -> list[FieldError]:
    """Return a finding for each entry that repeats an earlier one."""
    errors: list[FieldError] = []
    _walk(value, schema, path, errors)
    return errors


def has_list_types(schema: JsonObject) -> bool:
    """Say whether a schema has any set or map, so that objects of it need the check."""
    if schema.get("x-kubernetes-list-type") in ("set", "map"):
        return True
    inner = list((schema.get("properties") or {}).values())
    inner += [one for key in ("items", "additionalProperties") if isinstance(one := schema.get(key), dict)]
    return any(has_list_types(one) for one in inner)


def _walk(value: JsonValue, schema: JsonObject, path: str, errors: list[FieldError]) -> None:
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        additional = schema.get("additionalProperties")
        for key, one in value.items():
            if key in properties:
                _walk(one, properties[key], f"{path}.{key}" if path else key, errors)
            elif isinstance(additional, dict):
                _walk(one, additional, f"{path}[{key}]", errors)
    elif isinstance(value, list):
        kind = schema.get("x-kubernetes-list-type")
        if kind == "set":
            _check(value, path, errors)
        elif kind == "map":
            keys = schema.get("x-kubernetes-list-map-keys") or ()
            _check([_key_of(entry, keys) for entry in value], path, errors)
        items = schema.get("items")
        if isinstance(items, dict):
            for index, entry in enumerate(value):
                _walk(entry, items, f"{path}[{index}]", errors)


def _key_of(entry: JsonValue, keys: Sequence[str]) -> JsonValue:
    return {key: entry[key] for key in keys if key in entry} if isinstance(entry, dict) else entry


def _check(values: list[JsonValue], path: str, errors: list[FieldError]) -> None:
    seen: set[bytes] = set()
    for index, value in enumerate(values):
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        if text in seen:
            errors.append(FieldError(f"{path}[{index}]", "FieldValueDuplicate", "", value))
        seen.add(text)

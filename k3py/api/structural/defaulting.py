"""Fills in defaults of a structural schema and drops nulls that it does not allow.

Source: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting/{algorithm,prunenulls}.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.object import deep_copy

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.jsontypes import JsonObject, JsonValue

Defaulter = "Callable[[JsonValue], bool]"


def compile_defaulter(schema: JsonObject) -> Callable[[JsonValue], bool] | None:
    """Return a function that completes a value in place and says whether it changed; None when there is nothing to do for this schema."""
    kind = schema.get("type", "")
    properties = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    items = schema.get("items")
    if properties or isinstance(additional, dict):
        return _compile_object(properties, additional if isinstance(additional, dict) else None)
    if isinstance(items, dict) and kind in ("array", ""):
        return _compile_list(items)
    return None


def _compile_object(  # noqa: C901 - three kinds of members
    properties: dict[str, JsonObject], additional: JsonObject | None
) -> Callable[[JsonValue], bool]:
    defaults = {key: one["default"] for key, one in properties.items() if one.get("default") is not None}
    nullable = frozenset(key for key, one in properties.items() if one.get("nullable"))
    inner = {key: found for key, one in properties.items() if (found := compile_defaulter(one)) is not None}
    rest = compile_defaulter(additional) if additional is not None else None
    rest_default = additional.get("default") if additional is not None else None
    rest_nullable = additional is not None and bool(additional.get("nullable"))

    def complete(value: JsonValue) -> bool:
        if not isinstance(value, dict):
            return False
        changed = False
        for key in [key for key, one in value.items() if one is None]:
            known = key in properties
            if known:
                if key not in nullable and key not in defaults:
                    del value[key]
                    changed = True
            elif additional is not None and not rest_nullable:
                if rest_default is None:
                    del value[key]
                else:
                    value[key] = deep_copy(rest_default)
                changed = True
        for key, default in defaults.items():
            if key not in value or (value[key] is None and key not in nullable):
                value[key] = deep_copy(default)
                changed = True
        for key, function in inner.items():
            if key in value and function(value[key]):
                changed = True
        if rest is not None:
            for key, one in value.items():
                if key not in properties and rest(one):
                    changed = True
        return changed

    return complete


def _compile_list(items: JsonObject) -> Callable[[JsonValue], bool] | None:
    inner = compile_defaulter(items)
    default = items.get("default")
    replaces_null = default is not None and not items.get("nullable")
    if inner is None and not replaces_null:
        return None

    def complete(value: JsonValue) -> bool:
        if not isinstance(value, list):
            return False
        changed = False
        for index, entry in enumerate(value):
            if entry is None and replaces_null:
                value[index] = deep_copy(default)
                changed = True
            if inner is not None and inner(value[index]):
                changed = True
        return changed

    return complete

"""Drops the fields that a structural schema does not know.

Source: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning/algorithm.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject, JsonValue

_TYPE_META: Final = frozenset(("apiVersion", "kind", "metadata"))


def prune(obj: JsonObject, schema: JsonObject) -> list[str]:
    """Prune a resource in place; return the paths of what went ("spec.foo", "spec.list[0].bar"), in the document's order."""
    unknown: list[str] = []
    _prune(obj, schema, "", unknown, is_root=True)
    return unknown


def _prune(
    value: JsonValue, schema: JsonObject | None, path: str, unknown: list[str], *, is_root: bool = False
) -> None:
    if isinstance(value, dict):
        _prune_object(value, schema, path, unknown, is_root=is_root)
    elif isinstance(value, list):
        items = schema.get("items") if schema is not None else None
        if items is None and schema is not None and schema.get("x-kubernetes-preserve-unknown-fields"):
            return
        for index, entry in enumerate(value):
            _descend(entry, items, f"{path}[{index}]", unknown)


def _descend(value: JsonValue, schema: JsonObject | None, path: str, unknown: list[str]) -> None:
    if isinstance(value, dict | list):
        embedded = schema is not None and bool(schema.get("x-kubernetes-embedded-resource"))
        _prune(value, schema, path, unknown, is_root=embedded)


def _prune_object(
    value: JsonObject, schema: JsonObject | None, path: str, unknown: list[str], *, is_root: bool
) -> None:
    keeps = schema is not None and bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    properties = (schema.get("properties") or {}) if schema is not None else {}
    additional = schema.get("additionalProperties") if schema is not None else None
    for key in list(value):
        if is_root and key in _TYPE_META:
            continue
        inner = f"{path}.{key}" if path else key
        if key in properties:
            _descend(value[key], properties[key], inner, unknown)
        elif additional is not None:
            # true knows no schema either: objects below it lose all they have
            _descend(value[key], additional if isinstance(additional, dict) else None, inner, unknown)
        elif not keeps:
            unknown.append(inner)
            del value[key]

"""Duplicate keys in a JSON text, which a decoder to dicts silently drops (fieldValidation Strict and Warn report them)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject, JsonValue


class _Marked(dict[str, "JsonValue"]):
    """An object that had duplicate keys."""

    repeated: tuple[str, ...] = ()


def find_duplicate_fields(data: bytes | str) -> list[str]:
    """Return the paths of repeated keys ("spec.ports[0].name"), in the order met; [] for text that is no JSON."""
    marked = False

    def build(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
        nonlocal marked
        plain = dict(pairs)
        if len(plain) == len(pairs):
            return plain
        marked = True
        seen: set[str] = set()
        repeated: list[str] = []
        for key, _ in pairs:
            if key in seen and key not in repeated:
                repeated.append(key)
            seen.add(key)
        result = _Marked(plain)
        result.repeated = tuple(repeated)
        return result

    try:
        document = json.loads(data, object_pairs_hook=build)
    except ValueError:
        return []
    found: list[str] = []
    if marked:
        _collect(document, "", found)
    return found


def _collect(value: JsonValue, path: str, found: list[str]) -> None:
    if isinstance(value, list):
        for at, entry in enumerate(value):
            _collect(entry, f"{path}[{at}]", found)
        return
    if not isinstance(value, dict):
        return
    dot = f"{path}." if path else ""
    if isinstance(value, _Marked):
        found += [f"{dot}{key}" for key in value.repeated]
    for key, entry in value.items():
        _collect(entry, f"{dot}{key}", found)

"""Duplicate keys in JSON bodies, which ordinary parsers swallow and strict field validation reports."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from k3py.jsontypes import JsonValue


class _Object(dict[str, object]):
    """A JSON object that remembers its repeated keys."""

    __slots__ = ("repeated",)
    repeated: list[str]


def find_duplicate_fields(raw: bytes, document: JsonValue) -> list[str]:
    """Return the paths of keys that stand twice in the same object of `raw`, of which `document` is the parsed form.

    Linear in the size of `raw`. Bodies without duplicates, nearly all, are found out by counting keys.
    """
    if raw.lstrip()[:1] != b"{" or raw.count(b'":') == orjson.dumps(document).count(b'":'):
        return []
    try:
        parsed = json.loads(raw, object_pairs_hook=_build)
    except ValueError:
        return []
    found: list[str] = []
    _collect(parsed, "", found)
    return found


def _build(pairs: list[tuple[str, object]]) -> _Object:
    built = _Object(pairs)
    built.repeated = []
    if len(built) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen and key not in built.repeated:
                built.repeated.append(key)
            seen.add(key)
    return built


def _collect(value: JsonValue, path: str, found: list[str]) -> None:
    if isinstance(value, _Object):
        found += [f"{path}.{key}" if path else key for key in value.repeated]
        for key, one in value.items():
            _collect(one, f"{path}.{key}" if path else key, found)
    elif isinstance(value, list):
        for index, one in enumerate(value):
            _collect(one, f"{path}[{index}]", found)

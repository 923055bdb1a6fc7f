"""fieldPath of rules: .a.b['c d'].

Source: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go (ValidFieldPath) v0.35.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from k3py.api.cel.errors import CompilationFault

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

_PART: Final = re.compile(r"\.([^.\[\]]+)|\['((?:[^'\\]|\\.)*)'\]")


def parse_field_path(text: str, schema: JsonObject | None = None) -> str:
    """Return the path as findings show it (".a.b[c d]"); with a schema, it must lead to something there.

    Raises:
        CompilationFault: not a path, or it leads nowhere.
    """
    out, at, place = "", 0, schema
    while at < len(text):
        found = _PART.match(text, at)
        if found is None:
            raise CompilationFault(f"fieldPath {text} must be a valid path: unexpected {text[at:]}")
        name = found[1] if found[1] is not None else re.sub(r"\\(.)", r"\1", found[2])
        is_map_key = False
        if place is not None:
            place, is_map_key = _descend(place, name, text)
        out += f"[{name}]" if is_map_key or (schema is None and found[2] is not None) else f".{name}"
        at = found.end()
    if not out:
        raise CompilationFault("fieldPath must not be empty")
    return out


def _descend(place: JsonObject, name: str, text: str) -> tuple[JsonObject, bool]:
    properties = place.get("properties") or {}
    if name in properties:
        return properties[name], False
    additional = place.get("additionalProperties")
    if isinstance(additional, dict):
        return additional, True
    raise CompilationFault(f"fieldPath {text} does not refer to a valid field")

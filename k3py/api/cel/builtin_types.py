"""Declarations of built-in types, as far as expressions about objects are checked against them.

Source: k8s.io/apiserver/pkg/cel/openapi v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.cel.declarations import escape_name
from k3py.api.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DYNAMIC,
    INT,
    STRING,
    TIMESTAMP,
    CelType,
    Declaration,
    list_of,
    map_of,
)

if TYPE_CHECKING:
    from k3py.api.schema.schemas import Schemas
    from k3py.api.schema.table import Field

_SCALARS: Final = {
    "string": STRING, "bool": BOOL, "int32": INT, "int64": INT, "double": DOUBLE, "bytes": BYTES,
}  # fmt: skip
_SPECIALS: Final = {"time": TIMESTAMP, "microtime": TIMESTAMP, "duration": STRING}
_TEXT: Final = Declaration(STRING)


class BuiltinTypes:
    """Makes declarations by type name; types that contain themselves are not looked into a second time."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self._known: dict[str, Declaration] = {}
        self._open: set[str] = set()

    def declare(self, name: str) -> Declaration:
        """Return the declaration of a type; of an unknown one nothing is known."""
        if name in _SCALARS:
            return Declaration(_SCALARS[name])
        if name in self._known:
            return self._known[name]
        found = self._schemas.find(name)
        if found is None or name in self._open:
            return DYNAMIC
        if found.special:
            if found.special == "list":
                return Declaration(list_of(STRING), element=_TEXT)
            special = _SPECIALS.get(found.special)
            return Declaration(special) if special is not None else DYNAMIC
        self._open.add(name)
        fields: dict[str, Declaration] = {}
        names: dict[str, str] = {}
        if found.kinds:
            fields = {"apiVersion": _TEXT, "kind": _TEXT}
        for json_name, one in found.json_fields.items():
            if (escaped := escape_name(json_name)) is not None:
                fields[escaped], names[escaped] = self._declare_field(one), json_name
        self._open.discard(name)
        self._known[name] = Declaration(CelType(f"object.{name}"), fields=fields, names=names)
        return self._known[name]

    def _declare_field(self, one: Field) -> Declaration:
        inner = self.declare(one.type)
        if one.card == "rep":
            return Declaration(list_of(inner.type), element=inner)
        if one.card == "map":
            return Declaration(map_of(STRING, inner.type), element=inner, key=_TEXT)
        return inner

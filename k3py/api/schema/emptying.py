"""Empty lists that clients wrote become null, as they are once they lay in the datastore; compiled from the type table to closures.

A decoded object keeps an empty list in a mandatory field until it is known who owns which field, since an empty list is owned and null
is not; and an empty overhead until admission has seen that somebody wrote one. Source: k8s.io/apimachinery protobuf serializer v0.35, which knows no empty lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.api.schema.table import Field, TypeTable
    from k3py.jsontypes import JsonObject, JsonValue

    Empty = Callable[[JsonObject], None]

# Optional fields in which something empty means something: forget who manages what; no policies by which to scale, which is an error;
# an overhead, which only runtime classes may give.
MEANT_EMPTY: Final = frozenset(("managedFields", "policies", "overhead"))


class Emptiers:
    """Functions by type name, compiled at first use and kept; None where no list can be empty."""

    def __init__(self, table: TypeTable) -> None:
        self._table = table
        self._ready: dict[str, Empty | None] = {}

    def find(self, name: str) -> Empty | None:
        """Return what empties an object of a type, None when there is nothing to do below it."""
        if name in self._ready:
            return self._ready[name]
        self._ready[name] = (
            None  # recursive types (JSONSchemaProps) are kept as JSON, where lists may be empty
        )
        kind = self._table.find(name)
        if kind is None or kind.special:
            return None
        fields = [one for one in kind.json_fields.values() if one.json != "metadata"]
        lists = [one.json for one in fields if keeps_empty(one)]
        children = [
            (one.json, one.card, found) for one in fields if (found := self.find(one.type)) is not None
        ]
        maps = [one.json for one in fields if one.card == "map" and one.json in MEANT_EMPTY]
        if not lists and not maps and not children:
            return None

        def empty(obj: JsonObject) -> None:
            for field in lists:
                if obj.get(field) == []:
                    obj[field] = None
            for field in maps:
                if obj.get(field) == {}:
                    del obj[field]
            for field, card, child in children:
                if entry := obj.get(field):
                    _each(entry, card, child)

        self._ready[name] = empty
        return empty


def keeps_empty(one: Field) -> bool:
    """Say whether a decoded object keeps an empty list in a field."""
    return one.card == "rep" and not one.pointer and not one.omit_empty


def _each(entry: JsonValue, card: str, child: Empty) -> None:
    if card == "rep":
        for one in entry:
            child(one)
    elif card == "map":
        for one in entry.values():
            child(one)
    else:
        child(entry)

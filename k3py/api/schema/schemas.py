"""`Schemas`: everything that generic code asks about the built-in types; see the package's docstring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.schema.decoder import Decoders, TypeFault
from k3py.api.schema.defaulting import Defaulters
from k3py.api.schema.emptying import Emptiers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.api.patch.merge_type import MergeType, MergeTypes
    from k3py.api.schema.table import Field, ObjectType, TypeTable
    from k3py.jsontypes import JsonObject, JsonValue


class Schemas:
    """Types by name ("io.k8s.api.core.v1.Pod"); one instance a process, owned by the server."""

    def __init__(self, table: TypeTable) -> None:
        self.table = table
        self._decoders = Decoders(table)
        self._defaulters = Defaulters(table)
        self._emptiers = Emptiers(table)
        self._merge_types: MergeTypes | None = None

    def find_type_name(self, api_version: str, kind: str) -> str | None:
        """Return the type of a kind, None for kinds that are not built in."""
        return self.table.kinds.get(f"{api_version} {kind}") or self.table.kinds.get(f"* {kind}")

    def find(self, type_name: str) -> ObjectType | None:
        """Return a type, None when the name is unknown (custom resources)."""
        return self.table.find(type_name)

    def decode(self, type_name: str, obj: JsonObject) -> tuple[JsonObject, list[str]]:
        """Return the object in canonical form and the paths of the fields it had that the type has not ("spec.foo").

        For fieldValidation, the paths become `unknown field "spec.foo"`. The input is left alone, but may share parts with the result.

        Raises:
            TypeFault: a value of the wrong type; `.message()` is Go's sentence, which upstream puts into its 400 as
                `Pod in version "v1" cannot be handled as a Pod: <message>`.
            KeyError: unknown type.
        """
        unknown: list[str] = []
        decoded: JsonObject = self._decoders.get(type_name)(obj, unknown)
        if len(unknown) > 1:
            found = set(unknown)
            unknown = [path for path in _paths(obj, "") if path in found]
        return decoded, unknown

    def check_types(self, type_name: str, obj: JsonObject) -> list[str]:
        """Return Go's sentence about the first value of a wrong type, or nothing; see `decode`, which does this and more at once."""
        try:
            self.decode(type_name, obj)
        except TypeFault as fault:
            return [fault.message()]
        return []

    def prune(self, type_name: str, obj: JsonObject) -> list[str]:
        """Bring `obj` into canonical form in place and return the paths of dropped unknown fields; see `decode`.

        Raises:
            TypeFault: a value of the wrong type.
        """
        decoded, unknown = self.decode(type_name, obj)
        obj.clear()
        obj.update(decoded)
        return unknown

    def default(self, type_name: str, obj: JsonObject) -> None:
        """Fill the defaults of a decoded object in place; unknown types (custom resources) are left alone."""
        self._defaulters.get(type_name)(obj)

    def settle(self, type_name: str, obj: JsonObject) -> None:
        """Turn empty mandatory lists of a decoded object into null, in place, once it is known who owns them."""
        empty = self._emptiers.find(type_name)
        if empty is not None:
            empty(obj)

    def find_field(self, type_name: str, name: str) -> Field | None:
        """Return a field by its JSON name, with merge key, list type and type of its entries."""
        known = self.table.find(type_name)
        return known.json_fields.get(name) if known is not None else None

    def default_of(self, type_name: str, name: str) -> object:
        """Return the plain default of a field (a list key such as protocol), None when it has none."""
        known = self.find_field(type_name, name)
        return known.default if known is not None else None

    def merge_type(self, type_name: str) -> MergeType:
        """Return how values of a type merge in server-side apply; granular maps and atomic lists for unknown types."""
        if self._merge_types is None:
            from k3py.api.patch.merge_type import MergeTypes  # noqa: PLC0415 - imported when chosen

            self._merge_types = MergeTypes(self)
        return self._merge_types.get(type_name)


def _paths(value: JsonValue, path: str) -> Iterator[str]:
    """Yield the paths of all fields in the order of the document, as Go's decoder meets them."""
    if isinstance(value, dict):
        for key, entry in value.items():
            inner = f"{path}.{key}" if path else str(key)
            yield inner
            yield from _paths(entry, inner)
    elif isinstance(value, list):
        for at, entry in enumerate(value):
            yield from _paths(entry, f"{path}[{at}]")

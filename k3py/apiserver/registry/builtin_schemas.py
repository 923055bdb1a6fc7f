"""`ObjectSchemas` over the generated tables of built-in types; kinds without a type (custom ones) keep all but their metadata as is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.object import deep_copy

if TYPE_CHECKING:
    from k3py.api.kind import Kind
    from k3py.api.schema.schemas import Schemas
    from k3py.apiserver.registry.seams import ObjectSchemas
    from k3py.jsontypes import JsonObject

_STORED_AS_JSON: Final = ("apiextensions.k8s.io", "apiregistration.k8s.io")
_METADATA: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


class BuiltinSchemas:
    """Decodes and defaults by `Kind.schema`, then by the kind's strategy."""

    def __init__(self, schemas: Schemas) -> None:
        self.schemas = schemas
        self._empty: dict[str, JsonObject] = {}

    def decode(self, kind: Kind, obj: JsonObject) -> tuple[JsonObject, list[str]]:
        """Return the object in canonical form and the paths of unknown fields. Raises TypeFault."""
        if kind.schema:
            return self.schemas.decode(kind.schema, obj)
        if kind.structure is not None:
            return kind.structure.decode(obj, self._decode_metadata)
        metadata, unknown = self.schemas.decode(_METADATA, obj.get("metadata") or {})
        return {**obj, "metadata": metadata}, [f"metadata.{path}" for path in unknown]

    def _decode_metadata(self, metadata: JsonObject) -> tuple[JsonObject, list[str]]:
        return self.schemas.decode(_METADATA, metadata)

    def default(self, kind: Kind, obj: JsonObject) -> None:
        """Fill in defaults in place."""
        if kind.schema:
            self.schemas.default(kind.schema, obj)
        elif kind.structure is not None:
            kind.structure.default(obj)
        kind.strategy.default(obj)

    def settle(self, kind: Kind, obj: JsonObject) -> None:
        """Turn empty lists into null where they are once they lay in the datastore; definitions lie there as JSON."""
        if kind.schema and kind.group not in _STORED_AS_JSON:
            self.schemas.settle(kind.schema, obj)

    def complete(self, kind: Kind, obj: JsonObject) -> None:
        """Put empty parts that are always shown back."""
        if not kind.schema:
            return
        empty = self._empty.get(kind.schema)
        if empty is None:
            empty = self._empty[kind.schema] = self.schemas.decode(kind.schema, {})[0]
        for key, value in empty.items():
            if key not in obj:
                obj[key] = deep_copy(value)


if TYPE_CHECKING:

    def _check(one: BuiltinSchemas) -> ObjectSchemas:
        return one

"""How values merge: the shape of a type as server-side apply needs it.

Built lazily from the built-in schemas (`merge_type_of`) or from a custom resource's structural schema (`merge_type_of_structure`).
Source: k8s.io/kube-openapi/pkg/schemaconv; sigs.k8s.io/structured-merge-diff/v6/schema.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

from k3py.api.schema.table import SCALARS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from k3py.api.schema.schemas import Schemas
    from k3py.api.schema.table import Field, ObjectType
    from k3py.jsontypes import JsonObject, JsonValue

Relation = Literal["granular", "atomic", "map", "set"]


@dataclass(eq=False)
class MergeType:
    """A type.

    Attributes:
        kind: "scalar", "list", "map" (maps and structs), or "any" (deduced from the value: granular maps, atomic lists).
        scalar: of scalars what is accepted: "string", "number", "bool", "" = anything.
        relation: maps "granular" or "atomic"; lists "atomic", "map" (entries by `keys`) or "set".
        open: unknown fields of a struct are accepted, as of a map.
    """

    kind: Literal["scalar", "list", "map", "any"]
    scalar: str = ""
    relation: Relation = "granular"
    keys: tuple[str, ...] = ()
    open: bool = False
    make_element: Callable[[], MergeType] | None = None
    make_fields: Callable[[], Mapping[str, MergeType]] | None = None
    make_key_defaults: Callable[[], Mapping[str, JsonValue]] | None = None

    @cached_property
    def fields(self) -> Mapping[str, MergeType]:
        """Return the named fields of a struct, {} for maps."""
        return self.make_fields() if self.make_fields else {}

    @cached_property
    def element(self) -> MergeType:
        """Return the type of the entries of a list or map."""
        return self.make_element() if self.make_element else ANY

    @cached_property
    def key_defaults(self) -> Mapping[str, JsonValue]:
        """Return the defaults of the key fields of a keyed list's entries."""
        return self.make_key_defaults() if self.make_key_defaults else {}

    def find(self, name: str) -> MergeType | None:
        """Return the type of a field or map entry, None when a struct has no such field."""
        known = self.fields.get(name)
        if known is None and (self.make_fields is None or self.open):
            return self.element
        return known


ANY: Final = MergeType("any")
_SCALAR_KIND: Final = {
    "string": "string",
    "bytes": "string",
    "bool": "bool",
    "int32": "number",
    "int64": "number",
    "double": "number",
}
_SCALAR_TYPES: Final = {name: MergeType("scalar", scalar) for name, scalar in _SCALAR_KIND.items()}
# Its name is optional in Go, and declared to default to "".
_LOCAL_REFERENCE: Final = "io.k8s.api.core.v1.LocalObjectReference"
_STRING: Final = _SCALAR_TYPES["string"]
_UNTYPED: Final = MergeType("scalar")


class MergeTypes:
    """Merge types of built-in types, made at first use; holds what it made, so its owner keeps it as long as the schemas."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self._ready: dict[tuple[str, str], MergeType] = {}

    def get(self, type_name: str) -> MergeType:
        """Return the merge type; ANY for unknown types."""
        return self._of_type(type_name, "")

    def _of_type(self, name: str, map_type: str) -> MergeType:
        if name in _SCALAR_TYPES:
            return _SCALAR_TYPES[name]
        known = self._ready.get((name, map_type))
        if known is None:
            found = self._schemas.find(name)
            known = ANY if found is None else self._build(found, map_type)
            self._ready[name, map_type] = known
        return known

    def _build(self, found: ObjectType, map_type: str) -> MergeType:
        if found.special in ("time", "microtime", "duration"):
            return _STRING
        if found.special in ("quantity", "intorstring"):
            return _UNTYPED
        if found.special == "list":
            return MergeType("list", relation="atomic", make_element=lambda: _STRING)
        if found.special:
            return ANY

        def make_fields() -> dict[str, MergeType]:
            fields = {name: self._of_field(one) for name, one in found.json_fields.items()}
            if found.kinds:
                fields.setdefault("apiVersion", _STRING)
                fields.setdefault("kind", _STRING)
            return fields

        relation: Relation = "atomic" if (map_type or found.map_type) == "atomic" else "granular"
        return MergeType("map", relation=relation, make_fields=make_fields)

    def _of_field(self, one: Field) -> MergeType:
        if one.card == "rep":
            relation: Relation = one.list_type if one.list_type in ("map", "set") else "atomic"  # type: ignore[assignment]
            return MergeType(
                "list",
                relation=relation,
                keys=one.list_keys,
                make_element=lambda: self._of_type(one.type, ""),
                make_key_defaults=lambda: self._key_defaults(one),
            )
        if one.card == "map":
            relation = "atomic" if one.map_type == "atomic" else "granular"
            return MergeType("map", relation=relation, make_element=lambda: self._of_type(one.type, ""))
        return self._of_type(one.type, one.map_type)

    def _key_defaults(self, one: Field) -> dict[str, JsonValue]:
        """Return declared defaults, and for mandatory scalars their zero, which OpenAPI gives as their default."""
        entry = self._schemas.find(one.type)
        defaults: dict[str, JsonValue] = {}
        for name in one.list_keys:
            field = entry.json_fields.get(name) if entry is not None else None
            if field is None:
                continue
            if field.default is not None:
                defaults[name] = field.default
            elif not field.omit_empty and not field.pointer and not field.card and field.type in SCALARS:
                defaults[name] = {"string": "", "bytes": "", "bool": False}.get(field.type, 0)
            elif one.type == _LOCAL_REFERENCE:
                defaults[name] = ""
        return defaults


def merge_type_of_structure(
    schema: JsonObject, *, root: bool = False, metadata: Callable[[], MergeType] | None = None
) -> MergeType:
    """Return the merge type of a custom resource's structural schema (OpenAPI v3); `root` adds apiVersion, kind and metadata (of the type that `metadata` gives)."""
    if schema.get("x-kubernetes-int-or-string"):
        return _UNTYPED
    kind = schema.get("type", "")
    if kind == "array":
        list_type = schema.get("x-kubernetes-list-type", "atomic")
        items = schema.get("items") or {}
        return MergeType(
            "list",
            relation=list_type if list_type in ("map", "set") else "atomic",
            keys=tuple(schema.get("x-kubernetes-list-map-keys") or ()),
            make_element=lambda: merge_type_of_structure(items),
            make_key_defaults=lambda: {
                name: one["default"]
                for name, one in (items.get("properties") or {}).items()
                if "default" in one
            },
        )
    if kind == "object" or schema.get("properties") is not None:
        return _object_structure(schema, root=root, metadata=metadata)
    if kind in ("string", "boolean", "integer", "number"):
        return _SCALAR_TYPES[{"string": "string", "boolean": "bool"}.get(kind, "double")]
    return ANY


def _object_structure(
    schema: JsonObject, *, root: bool, metadata: Callable[[], MergeType] | None
) -> MergeType:
    relation: Relation = "atomic" if schema.get("x-kubernetes-map-type") == "atomic" else "granular"
    properties = schema.get("properties")
    additional = schema.get("additionalProperties")
    keeps_unknown = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    if not properties and not root:
        if isinstance(additional, dict):
            return MergeType(
                "map", relation=relation, make_element=lambda: merge_type_of_structure(additional)
            )
        return MergeType("map", relation=relation) if keeps_unknown or additional else ANY

    def make_fields() -> dict[str, MergeType]:
        fields = {name: merge_type_of_structure(one) for name, one in (properties or {}).items()}
        if root or schema.get("x-kubernetes-embedded-resource"):
            fields["apiVersion"] = fields["kind"] = _STRING
            if root and metadata is not None:
                fields["metadata"] = metadata()
            else:
                fields.setdefault("metadata", ANY)
        return fields

    return MergeType("map", relation=relation, open=keeps_unknown, make_fields=make_fields)

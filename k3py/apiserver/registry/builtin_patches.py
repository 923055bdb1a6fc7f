"""`Patches` over k3py.api.patch and the tables of built-in types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.patch.apply import apply_configuration, update_managed_fields
from k3py.api.patch.json_patch import apply_json_patch
from k3py.api.patch.merge_patch import apply_merge_patch
from k3py.api.patch.merge_type import ANY
from k3py.api.patch.strategic import apply_strategic_patch
from k3py.api.patch.typed import TypedFault, validate

if TYPE_CHECKING:
    from k3py.api.kind import Kind
    from k3py.api.patch.merge_type import MergeType
    from k3py.api.schema.schemas import Schemas
    from k3py.apiserver.registry.seams import Patches
    from k3py.jsontypes import JsonObject, JsonValue


OBJECT_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


class BuiltinPatches:
    """Patches objects by the types of `schemas`."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def apply_json(self, live: JsonObject, patch: JsonValue) -> JsonObject:
        """RFC 6902. Raises ApiError."""
        return apply_json_patch(live, patch)

    def apply_merge(self, live: JsonObject, patch: JsonValue) -> JsonObject:
        """RFC 7386. Raises ApiError."""
        return apply_merge_patch(live, patch)

    def apply_strategic(self, kind: Kind, live: JsonObject, patch: JsonValue) -> JsonObject:
        """Strategic merge. Raises ApiError."""
        return apply_strategic_patch(live, patch, kind.schema, self._schemas)

    def apply_configuration(
        self,
        kind: Kind,
        live: JsonObject | None,
        patch: JsonValue,
        *,
        manager: str,
        force: bool,
        subresource: str,
        now: str,
    ) -> JsonObject:
        """Server-side apply. Raises ApiError."""
        return apply_configuration(
            live,
            patch,
            manager=manager,
            force=force,
            api_version=kind.api_version,
            now=now,
            schemas=self._schemas,
            subresource=subresource,
            reset_fields=kind.reset_fields,
            merge_type=self._merge_type(kind),
        )

    def track(
        self,
        kind: Kind,
        old: JsonObject | None,
        new: JsonObject,
        *,
        manager: str,
        subresource: str,
        now: str,
    ) -> None:
        """Set `new`'s metadata.managedFields for a create or update by `manager`."""
        if kind.structure is not None and not self._fits(kind, new):
            new["metadata"].pop("managedFields", None)  # as upstream: nobody's, rather than a refusal
            return
        tracked = update_managed_fields(
            old,
            new,
            manager=manager,
            api_version=kind.api_version,
            now=now,
            schemas=self._schemas,
            subresource=subresource,
            reset_fields=kind.reset_fields,
            merge_type=self._merge_type(kind),
        )
        new["metadata"] = tracked["metadata"]

    def _fits(self, kind: Kind, obj: JsonObject) -> bool:
        metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
        merge_type = self._merge_type(kind)
        try:
            validate({**obj, "metadata": metadata}, merge_type or ANY, allow_duplicates=True)
        except TypedFault:
            return False
        return True

    def _metadata_type(self) -> MergeType:
        return self._schemas.merge_type(OBJECT_META)

    def _merge_type(self, kind: Kind) -> MergeType | None:
        """Return how objects of a kind merge; None for kinds without a type (maps are granular then, lists atomic)."""
        if kind.structure is not None:
            return kind.structure.merge_type(self._metadata_type)
        return self._schemas.merge_type(kind.schema) if kind.schema else None


if TYPE_CHECKING:

    def _check(one: BuiltinPatches) -> Patches:
        return one

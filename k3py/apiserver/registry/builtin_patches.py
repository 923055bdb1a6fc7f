"""`Patches` over k3py.api.patch and the tables of built-in types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.patch.json_patch import apply_json_patch
from k3py.api.patch.merge_patch import apply_merge_patch
from k3py.api.patch.strategic import apply_strategic_patch
from k3py.api.status import ApiError

if TYPE_CHECKING:
    from k3py.api.kind import Kind
    from k3py.api.schema.schemas import Schemas
    from k3py.apiserver.registry.seams import Patches
    from k3py.jsontypes import JsonObject, JsonValue


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
        raise ApiError(415, "UnsupportedMediaType", "server-side apply is not served", details={})

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
        """Keep metadata.managedFields as they are stored."""
        metadata = new["metadata"]
        before = (old or {}).get("metadata", {}).get("managedFields")
        if before:
            metadata["managedFields"] = before
        else:
            metadata.pop("managedFields", None)


if TYPE_CHECKING:

    def _check(one: BuiltinPatches) -> Patches:
        return one

"""Strategies that several kinds share, on top of `k3py.api.kind.BaseStrategy`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from k3py.api.kind import BaseStrategy
from k3py.api.object import deep_copy
from k3py.api.pod_template import drop_gated_template_fields

if TYPE_CHECKING:
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class StatusStrategy(BaseStrategy):
    """For kinds with a status subresource: clients cannot set the status on create.

    Attributes:
        empty_status: what the API shows as the status of a new object (fields without omitempty are there).
    """

    has_status = True
    empty_status: ClassVar[JsonObject] = {}

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """Reset the status."""
        super().prepare_create(obj, context)
        obj["status"] = deep_copy(self.empty_status)

    def prepare_status_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """Keep the spec; a status that is missing becomes an empty one."""
        super().prepare_status_update(new, old, context)
        if new.get("status") is None:
            new["status"] = deep_copy(self.empty_status)


class GenerationStrategy(StatusStrategy):
    """For kinds whose spec has a generation that their controller reports back."""

    has_generation = True


class WorkloadStrategy(StatusStrategy):
    """For kinds whose spec has a generation that their controller reports back, and mostly a pod template."""

    has_generation = True

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """Drop fields of features that are off."""
        drop_gated_template_fields(obj)
        super().prepare_create(obj, context)

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """Drop fields of features that are off."""
        drop_gated_template_fields(new)
        super().prepare_update(new, old, context)

"""Devices that a driver offers on some nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, field_column, value_at
from k3py.api.devices import drop_gated_slice_fields
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.validation.devices.slice import validate_slice

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class ResourceSliceStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/resource/resourceslice/strategy.go v1.35."""

    has_generation = True
    object_on_delete = True

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """Drop fields of features that are off."""
        drop_gated_slice_fields(obj)
        super().prepare_create(obj, context)

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """Drop fields of features that are off."""
        drop_gated_slice_fields(new)
        super().prepare_update(new, old, context)

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check devices and nodes."""
        return validate_slice(obj.get("spec") or {}, None)

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Driver, pool and node stay."""
        return validate_slice(new.get("spec") or {}, old.get("spec") or {})


KIND: Final = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceSlice",
    plural="resourceslices",
    namespaced=False,
    schema="io.k8s.api.resource.v1.ResourceSlice",
    strategy=ResourceSliceStrategy(),
    columns=(
        NAME,
        field_column("Node", "spec.nodeName"),
        field_column("Driver", "spec.driver"),
        field_column("Pool", "spec.pool.name"),
        AGE,
    ),
    selectable_fields={
        "spec.nodeName": lambda obj: str(value_at(obj, "spec.nodeName", "")),
        "spec.driver": lambda obj: str(value_at(obj, "spec.driver", "")),
    },
    storage=StoragePolicy(prefix="resourceslices"),
    storage_version_hash="KsC072WgaEY=",
)

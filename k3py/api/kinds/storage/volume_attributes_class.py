"""Properties of volumes that may change during their life; stored in the version that upstream stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, field_column
from k3py.api.fielderror import forbidden_field, required
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.names import find_subdomain_faults
from k3py.api.validation.parameters import check_parameters
from k3py.api.validation.scalar import check_text

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_SERVED: Final = "storage.k8s.io/v1"
_STORED: Final = "storage.k8s.io/v1beta1"


class VolumeAttributesClassStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/storage/volumeattributesclass/strategy.go v1.35."""

    object_on_delete = True

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check driver and parameters."""
        name, parameters = obj.get("driverName", ""), obj.get("parameters") or {}
        errors = (
            check_text(name.lower(), "driverName", find_subdomain_faults)
            if name
            else [required("driverName")]
        )
        if not parameters:
            errors.append(required("parameters", "must contain at least one key/value pair"))
        return errors + check_parameters(parameters, "parameters")

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Both stay."""
        return self.validate(new) + [
            forbidden_field(field, f"updates to {field} are forbidden.")
            for field in ("driverName", "parameters")
            if new.get(field) != old.get(field)
        ]


KIND: Final = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="VolumeAttributesClass",
    plural="volumeattributesclasses",
    short_names=("vac",),
    namespaced=False,
    schema="io.k8s.api.storage.v1.VolumeAttributesClass",
    strategy=VolumeAttributesClassStrategy(),
    columns=(NAME, field_column("DriverName", "driverName"), AGE),
    storage=StoragePolicy(prefix="volumeattributesclasses"),
    storage_version=_STORED,
    to_storage=lambda obj: {**obj, "apiVersion": _STORED},
    from_storage=lambda obj: {**obj, "apiVersion": _SERVED},
    storage_version_hash="Bl3MtjZ/n/s=",
)

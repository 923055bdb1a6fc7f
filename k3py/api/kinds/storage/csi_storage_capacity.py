"""How much of a storage class is left in a part of the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import CREATED_AT, NAME
from k3py.api.fielderror import invalid_value
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.names import find_subdomain_faults
from k3py.api.validation.resources import amount_of
from k3py.api.validation.scalar import IMMUTABLE, NEGATIVE, check_text
from k3py.api.validation.selector import validate_selector

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class CSIStorageCapacityStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/storage/csistoragecapacity/strategy.go v1.35."""

    unconditional_update = False

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check class, place and amounts."""
        errors = check_text(obj.get("storageClassName", ""), "storageClassName", find_subdomain_faults)
        if obj.get("nodeTopology") is not None:
            errors += validate_selector(obj["nodeTopology"], "nodeTopology")
        errors += [
            invalid_value(field, obj[field], NEGATIVE)
            for field in ("capacity", "maximumVolumeSize")
            if obj.get(field) is not None and amount_of(obj[field]) < 0
        ]
        return errors

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Class and place stay."""
        return self.validate(new) + [
            invalid_value(field, new.get(field), IMMUTABLE)
            for field in ("nodeTopology", "storageClassName")
            if new.get(field) != old.get(field)
        ]


KIND: Final = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="CSIStorageCapacity",
    plural="csistoragecapacities",
    schema="io.k8s.api.storage.v1.CSIStorageCapacity",
    strategy=CSIStorageCapacityStrategy(),
    columns=(NAME, CREATED_AT),
    storage=StoragePolicy(prefix="csistoragecapacities"),
    storage_version_hash="xeVl+2Ly1kE=",
)

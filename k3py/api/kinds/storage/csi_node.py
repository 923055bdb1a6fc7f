"""The CSI drivers of a node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, column, value_at
from k3py.api.fielderror import duplicate, invalid_value, required
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.names import find_qualified_name_faults, find_subdomain_faults
from k3py.api.validation.scalar import IMMUTABLE, check_non_negative, check_text

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class CSINodeStrategy(BaseStrategy):
    """See the module."""

    object_on_delete = True
    unconditional_update = False

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Drivers have names and know the node."""
        errors: list[FieldError] = []
        names: set[str] = set()
        for index, driver in enumerate((obj.get("spec") or {}).get("drivers") or ()):
            path = f"spec.drivers[{index}]"
            name = driver.get("name", "")
            errors += check_text(name.lower(), f"{path}.name", find_subdomain_faults)
            if name in names:
                errors.append(duplicate(f"{path}.name", name))
            names.add(name)
            if not driver.get("nodeID"):
                errors.append(required(f"{path}.nodeID"))
            errors += check_non_negative(
                (driver.get("allocatable") or {}).get("count"), f"{path}.allocatable.count"
            )
            for key in driver.get("topologyKeys") or ():
                if not key:
                    errors.append(required(path))
                errors += check_text(key, path, find_qualified_name_faults)
        return errors

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """A driver that stays is the same, but for how many volumes fit."""
        drivers = (new.get("spec") or {}).get("drivers") or []
        after = {one.get("name"): _fixed(one) for one in drivers}
        errors = self.validate(new)
        for driver in (old.get("spec") or {}).get("drivers") or ():
            name = driver.get("name")
            if name in after and after[name] != _fixed(driver):
                errors.append(invalid_value("spec.drivers", drivers, IMMUTABLE))
        return errors


def _fixed(driver: JsonObject) -> JsonObject:
    return {key: value for key, value in driver.items() if key != "allocatable"}


KIND: Final = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="CSINode",
    plural="csinodes",
    namespaced=False,
    schema="io.k8s.api.storage.v1.CSINode",
    strategy=CSINodeStrategy(),
    columns=(
        NAME,
        column("Drivers", lambda obj: len(value_at(obj, "spec.drivers", ())), kind="integer"),
        AGE,
    ),
    storage=StoragePolicy(prefix="csinodes"),
    storage_version_hash="Pe62DkZtjuo=",
)

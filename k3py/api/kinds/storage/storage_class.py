"""How volumes are provisioned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, column, field_column
from k3py.api.fielderror import duplicate, forbidden_field, invalid_value, required
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.names import find_qualified_name_faults
from k3py.api.validation.parameters import check_parameters
from k3py.api.validation.scalar import IMMUTABLE, check_choice, check_known, check_text

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject, JsonValue


class StorageClassStrategy(BaseStrategy):
    """See the module."""

    object_on_delete = True

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check provisioner, parameters and topologies."""
        provisioner = obj.get("provisioner", "")
        errors = (
            check_text(provisioner.lower(), "provisioner", find_qualified_name_faults)
            if provisioner
            else [required("provisioner")]
        )
        errors += check_parameters(obj.get("parameters") or {}, "parameters")
        if obj.get("reclaimPolicy"):
            errors += check_known(obj["reclaimPolicy"], "reclaimPolicy", ("Delete", "Retain"))
        errors += _validate_topologies(obj.get("allowedTopologies") or (), "allowedTopologies")
        return errors + check_choice(obj.get("volumeBindingMode"), "volumeBindingMode", _BINDING_MODES)

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """How volumes are made stays."""
        errors = self.validate(new)
        errors += [
            forbidden_field(field, f"updates to {field} are forbidden.")
            for field in ("parameters", "provisioner", "reclaimPolicy")
            if (new.get(field) or None) != (old.get(field) or None)
        ]
        if new.get("volumeBindingMode") != old.get("volumeBindingMode"):
            errors.append(invalid_value("volumeBindingMode", new.get("volumeBindingMode"), IMMUTABLE))
        return errors


_BINDING_MODES: Final = ("Immediate", "WaitForFirstConsumer")


def _validate_topologies(topologies: JsonValue, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, topology in enumerate(topologies):
        where = f"{path}[{index}].matchLabelExpressions"
        expressions = topology.get("matchLabelExpressions") or ()
        keys: set[str] = set()
        for number, one in enumerate(expressions):
            at = f"{where}[{number}]"
            key, values = one.get("key", ""), one.get("values") or ()
            errors += check_text(key, f"{at}.key", find_qualified_name_faults)
            if key in keys:
                errors.append(duplicate(f"{at}.key", key))
            keys.add(key)
            if not values:
                errors.append(required(f"{at}.values"))
            errors += [
                duplicate(f"{at}.values[{place}]", value)
                for place, value in enumerate(values)
                if value in values[:place]
            ]
        if topology in topologies[:index]:
            errors.append(duplicate(where, ""))
    return errors


_DEFAULT: Final = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)


def _name(obj: JsonObject) -> str:
    annotations = obj["metadata"].get("annotations") or {}
    is_default = any(annotations.get(key) == "true" for key in _DEFAULT)
    return f"{obj['metadata']['name']} (default)" if is_default else str(obj["metadata"]["name"])


KIND: Final = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="StorageClass",
    plural="storageclasses",
    short_names=("sc",),
    namespaced=False,
    schema="io.k8s.api.storage.v1.StorageClass",
    strategy=StorageClassStrategy(),
    columns=(
        column("Name", _name, format="name"),
        field_column("Provisioner", "provisioner"),
        field_column("ReclaimPolicy", "reclaimPolicy", "Delete"),
        field_column("VolumeBindingMode", "volumeBindingMode", "Immediate"),
        field_column("AllowVolumeExpansion", "allowVolumeExpansion", False),
        AGE,
    ),
    storage=StoragePolicy(prefix="storageclasses"),
    storage_version_hash="K+m6uJwbjGY=",
)

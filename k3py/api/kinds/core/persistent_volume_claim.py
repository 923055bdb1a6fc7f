"""A wish for storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, UNSET, column, field_column, value_at
from k3py.api.fielderror import invalid_value
from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.object import deep_copy
from k3py.api.persistent_volume import CLASS_ANNOTATION, class_of, format_modes, phase_of
from k3py.api.strategy import StatusStrategy
from k3py.api.validation.claim import validate_claim_change, validate_claim_spec, validate_claim_status

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class PersistentVolumeClaimStrategy(StatusStrategy):
    """See the module."""

    object_on_delete = True

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """A new claim is Pending; the two ways to name a source say the same."""
        super().prepare_create(obj, context)
        obj["status"] = {"phase": "Pending"}
        _mirror_sources(obj.setdefault("spec", {}))

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """The two ways to name a source say the same."""
        super().prepare_update(new, old, context)
        _mirror_sources(new.setdefault("spec", {}))

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check what is asked for."""
        spec = obj.get("spec") or {}
        errors = validate_claim_spec(spec, "spec")
        source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
        if source is not None and reference is not None and source != reference:
            errors.append(invalid_value("spec", "", "must match dataSourceRef"))
        return errors

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Only the size of a bound claim may grow, and what is found later be filled in."""
        return self.validate(new) + validate_claim_change(new, old)

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check amounts."""
        return validate_claim_status(new.get("status") or {})

    def warnings(self, new: JsonObject, old: JsonObject | None) -> list[str]:
        """The old way to name a class goes."""
        if CLASS_ANNOTATION not in (new["metadata"].get("annotations") or {}):
            return []
        text = 'deprecated since v1.8; use "storageClassName" attribute instead'
        return [f"metadata.annotations[{CLASS_ANNOTATION}]: {text}"]


def _mirror_sources(spec: JsonObject) -> None:
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is not None and reference is None:
        spec["dataSourceRef"] = deep_copy(source)
    elif reference is not None and source is None and not reference.get("namespace"):
        spec["dataSource"] = deep_copy(reference)


def _capacity(obj: JsonObject) -> str:
    return str(value_at(obj, "status.capacity.storage", "0")) if value_at(obj, "spec.volumeName") else ""


def _modes(obj: JsonObject) -> str:
    return format_modes(value_at(obj, "status.accessModes")) if value_at(obj, "spec.volumeName") else ""


KIND: Final = Kind(
    version="v1",
    kind="PersistentVolumeClaim",
    plural="persistentvolumeclaims",
    short_names=("pvc",),
    schema="io.k8s.api.core.v1.PersistentVolumeClaim",
    strategy=PersistentVolumeClaimStrategy(),
    subresources=(
        Subresource(
            name="status",
            verbs=(
                "get",
                "patch",
                "update",
            ),
        ),
    ),
    columns=(
        NAME,
        column("Status", phase_of),
        field_column("Volume", "spec.volumeName"),
        column("Capacity", _capacity),
        column("Access Modes", _modes),
        column("StorageClass", class_of),
        field_column("VolumeAttributesClass", "spec.volumeAttributesClassName", UNSET),
        AGE,
        field_column("VolumeMode", "spec.volumeMode", UNSET, wide=True),
    ),
    storage=StoragePolicy(prefix="persistentvolumeclaims"),
    storage_version_hash="QWTyNDq0dC4=",
)

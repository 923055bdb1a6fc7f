"""A piece of storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, UNSET, column, field_column, value_at
from k3py.api.fielderror import forbidden_field, invalid_value
from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.persistent_volume import class_of, format_modes, phase_of
from k3py.api.strategy import StatusStrategy
from k3py.api.validation.persistent_volume import sources_of, validate_persistent_volume
from k3py.api.validation.scalar import IMMUTABLE

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class PersistentVolumeStrategy(StatusStrategy):
    """See the module."""

    object_on_delete = True

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """A new volume is Pending."""
        super().prepare_create(obj, context)
        obj["status"] = {"phase": "Pending", "lastPhaseTransitionTime": context.now}

    def prepare_status_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """Note when the phase changed."""
        super().prepare_status_update(new, old, context)
        before, after = old.get("status") or {}, new["status"]
        if after.get("phase") != before.get("phase"):
            same = after.get("lastPhaseTransitionTime") == before.get("lastPhaseTransitionTime")
            if same or not after.get("lastPhaseTransitionTime"):
                after["lastPhaseTransitionTime"] = context.now

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check capacity, modes and source."""
        return validate_persistent_volume(obj.get("spec") or {})

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Where the data is stays."""
        errors = self.validate(new)
        before, after = old.get("spec") or {}, new.get("spec") or {}
        if sources_of(before) != sources_of(after):
            detail = "spec.persistentvolumesource is immutable after creation"
            errors.append(forbidden_field("spec.persistentvolumesource", detail))
        if before.get("volumeMode") != after.get("volumeMode"):
            errors.append(invalid_value("volumeMode", after.get("volumeMode"), IMMUTABLE))
        affinity = before.get("nodeAffinity")
        if affinity is not None and affinity != after.get("nodeAffinity"):
            errors.append(invalid_value("nodeAffinity", after.get("nodeAffinity"), IMMUTABLE))
        return errors


def _claim(obj: JsonObject) -> str:
    claim = value_at(obj, "spec.claimRef")
    return f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else ""


KIND: Final = Kind(
    version="v1",
    kind="PersistentVolume",
    plural="persistentvolumes",
    short_names=("pv",),
    namespaced=False,
    schema="io.k8s.api.core.v1.PersistentVolume",
    strategy=PersistentVolumeStrategy(),
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
        field_column("Capacity", "spec.capacity.storage", "0"),
        column("Access Modes", lambda obj: format_modes(value_at(obj, "spec.accessModes"))),
        field_column("Reclaim Policy", "spec.persistentVolumeReclaimPolicy"),
        column("Status", phase_of),
        column("Claim", _claim),
        column("StorageClass", class_of),
        field_column("VolumeAttributesClass", "spec.volumeAttributesClassName", UNSET),
        field_column("Reason", "status.reason"),
        AGE,
        field_column("VolumeMode", "spec.volumeMode", UNSET, wide=True),
    ),
    storage=StoragePolicy(prefix="persistentvolumes"),
    storage_version_hash="HN/zwEC+JgM=",
)

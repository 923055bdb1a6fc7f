"""Devices that somebody asks for and gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, column
from k3py.api.devices import drop_gated_claim_fields, drop_gated_status_fields
from k3py.api.fielderror import invalid_value
from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.strategy import StatusStrategy
from k3py.api.validation.devices.claim import validate_claim_spec, validate_claim_status
from k3py.api.validation.scalar import IMMUTABLE

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class ResourceClaimStrategy(StatusStrategy):
    """Source: kubernetes/pkg/registry/resource/resourceclaim/strategy.go v1.35."""

    object_on_delete = True
    status_keeps = ("labels", "annotations", "ownerReferences")

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """Drop fields of features that are off."""
        drop_gated_claim_fields(obj.get("spec") or {})
        super().prepare_create(obj, context)

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """Drop fields of features that are off."""
        drop_gated_claim_fields(new.get("spec") or {})
        super().prepare_update(new, old, context)

    def prepare_status_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """Drop fields of features that are off."""
        super().prepare_status_update(new, old, context)
        drop_gated_status_fields(new["status"])

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check what is asked for."""
        return validate_claim_spec(obj.get("spec") or {}, "spec")

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """It stays what is asked for."""
        if new.get("spec") != old.get("spec"):
            return [invalid_value("spec", new.get("spec"), IMMUTABLE)]
        return validate_claim_spec(new.get("spec") or {}, "spec", is_stored=True)

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check what was given and to whom."""
        return validate_claim_status(new, old)


def _state_of(obj: JsonObject) -> str:
    status = obj.get("status") or {}
    states = ["deleted"] if "deletionTimestamp" in obj["metadata"] else []
    if status.get("allocation") is None:
        return states[0] if states else "pending"
    states.append("allocated")
    if status.get("reservedFor"):
        states.append("reserved")
    return ",".join(states)


KIND: Final = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceClaim",
    plural="resourceclaims",
    schema="io.k8s.api.resource.v1.ResourceClaim",
    strategy=ResourceClaimStrategy(),
    subresources=(Subresource(name="status", verbs=("get", "patch", "update")),),
    columns=(NAME, column("State", _state_of), AGE),
    storage=StoragePolicy(prefix="resourceclaims"),
    storage_version_hash="wgAZaHcZxUg=",
)

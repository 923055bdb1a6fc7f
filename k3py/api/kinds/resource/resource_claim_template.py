"""What the claims of pods are made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME
from k3py.api.devices import drop_gated_claim_fields
from k3py.api.fielderror import invalid_value
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.validation.devices.claim import validate_claim_spec
from k3py.api.validation.scalar import IMMUTABLE
from k3py.api.validation.selector import validate_annotations, validate_labels

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class ResourceClaimTemplateStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/resource/resourceclaimtemplate/strategy.go v1.35."""

    object_on_delete = True

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """Drop fields of features that are off."""
        drop_gated_claim_fields((obj.get("spec") or {}).get("spec") or {})
        super().prepare_create(obj, context)

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """Drop fields of features that are off."""
        drop_gated_claim_fields((new.get("spec") or {}).get("spec") or {})
        super().prepare_update(new, old, context)

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check the claims that will be made."""
        spec = obj.get("spec") or {}
        metadata = spec.get("metadata") or {}
        return [
            *validate_annotations(metadata.get("annotations"), "spec.metadata.annotations"),
            *validate_labels(metadata.get("labels"), "spec.metadata.labels"),
            *validate_claim_spec(spec.get("spec") or {}, "spec.spec"),
        ]

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Templates stay."""
        if new.get("spec") == old.get("spec"):
            return []
        return [invalid_value("spec", new.get("spec"), IMMUTABLE)]


KIND: Final = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceClaimTemplate",
    plural="resourceclaimtemplates",
    schema="io.k8s.api.resource.v1.ResourceClaimTemplate",
    strategy=ResourceClaimTemplateStrategy(),
    columns=(NAME, AGE),
    storage=StoragePolicy(prefix="resourceclaimtemplates"),
    storage_version_hash="TuzjC49aUfM=",
)

"""The life of a pod as the API server sees it. Source: kubernetes/pkg/registry/core/pod/strategy.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.kind import BaseStrategy
from k3py.api.kinds.core.pod.creation import adopt_apparmor_annotations, first_status, merge_label_keys
from k3py.api.kinds.core.pod.mutation import (
    check_annotation_changes,
    check_annotations,
    validate_mutation,
)
from k3py.api.kinds.core.pod.status_rules import validate_status
from k3py.api.kinds.core.pod.warnings import find_warnings
from k3py.api.pod_template import drop_gated_fields
from k3py.api.validation.pod_spec import validate_new_pod, validate_pod

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class PodStrategy(BaseStrategy):
    """See the module."""

    has_status = True
    has_generation = True
    object_on_delete = True

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """A new pod is Pending, with its class of service."""
        status = first_status(obj, context.now)
        super().prepare_create(obj, context)
        spec = obj.setdefault("spec", {})
        if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
            spec["terminationGracePeriodSeconds"] = 1
        drop_gated_fields(spec)
        merge_label_keys(obj)
        adopt_apparmor_annotations(obj)
        obj["status"] = status

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """Fields of features that are off are dropped."""
        drop_gated_fields(new.setdefault("spec", {}))
        super().prepare_update(new, old, context)

    def prepare_status_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """Metadata may change, but for owners; the class of service is kept when the writer leaves it out."""
        metadata = dict(new["metadata"])
        super().prepare_status_update(new, old, context)
        new["metadata"] = metadata
        owners = old["metadata"].get("ownerReferences")
        if owners:
            metadata["ownerReferences"] = owners
        else:
            metadata.pop("ownerReferences", None)
        if new.get("status") is None:
            new["status"] = {}
        known = (old.get("status") or {}).get("qosClass")
        if known:
            new["status"].setdefault("qosClass", known)

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check a new pod."""
        return validate_new_pod(obj) + check_annotations(obj)

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Only a few fields of a pod may change."""
        errors = validate_pod(new) + check_annotations(new)
        errors += check_annotation_changes(new["metadata"], old["metadata"])
        return errors + validate_mutation(new.get("spec") or {}, old.get("spec") or {})

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check names and addresses, and that what must stay stays."""
        return validate_status(new, old)

    def warnings(self, new: JsonObject, old: JsonObject | None) -> list[str]:
        """Name what is accepted, but hardly meant."""
        return find_warnings(new, "", old)

    def graceful_delete_s(self, obj: JsonObject, requested_s: int | None) -> int | None:
        """A pod that no node has, or that has ended, goes at once; others get the time they ask for."""
        spec, status = obj.get("spec") or {}, obj.get("status") or {}
        grace_s = requested_s if requested_s is not None else spec.get("terminationGracePeriodSeconds", 30)
        if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
            grace_s = 0
        return 1 if grace_s < 0 else int(grace_s)

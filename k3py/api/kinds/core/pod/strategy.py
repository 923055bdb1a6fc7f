"""The life of a pod as the API server sees it. Source: kubernetes/pkg/registry/core/pod/strategy.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import forbidden_field, invalid_value
from k3py.api.kind import BaseStrategy
from k3py.api.kinds.core.pod.qos import qos_class
from k3py.api.object import deep_copy
from k3py.api.validation.pod_spec import validate_new_pod, validate_pod

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject

_IMMUTABLE: Final = (
    "pod updates may not change fields other than `spec.containers[*].image`, `spec.initContainers[*].image`, "
    "`spec.activeDeadlineSeconds`, `spec.tolerations` (only additions to existing tolerations), "
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


class PodStrategy(BaseStrategy):
    """See the module."""

    has_status = True
    has_generation = True
    object_on_delete = True

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """A new pod is Pending, with its class of service."""
        super().prepare_create(obj, context)
        obj["status"] = {"phase": "Pending", "qosClass": qos_class(obj.get("spec") or {})}
        if (obj.get("spec") or {}).get("schedulingGates"):
            obj["status"]["conditions"] = [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "SchedulingGated",
                    "message": "Scheduling is blocked due to non-empty scheduling gates",
                    "lastProbeTime": None,
                    "lastTransitionTime": None,
                    "observedGeneration": 1,
                }
            ]

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check the spec."""
        return validate_new_pod(obj)

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Only a few fields of a pod may change."""
        errors = validate_pod(new)
        if errors:
            return errors
        before, after = deep_copy(old.get("spec") or {}), deep_copy(new.get("spec") or {})
        errors += _check_deadline(before, after)
        for spec in (before, after):
            spec.pop("activeDeadlineSeconds", None)
            for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
                container.pop("image", None)
        if all(one in (after.get("tolerations") or ()) for one in before.get("tolerations") or ()):
            before.pop("tolerations", None)
            after.pop("tolerations", None)
        else:
            errors.append(
                forbidden_field(
                    "spec.tolerations", "existing toleration can not be modified except its tolerationSeconds"
                )
            )
        if (
            before.get("terminationGracePeriodSeconds", 0) < 0
            and after.get("terminationGracePeriodSeconds") == 1
        ):
            before["terminationGracePeriodSeconds"] = 1
        gates = before.pop("schedulingGates", None) or []
        left = after.pop("schedulingGates", None) or []
        if any(gate not in gates for gate in left):
            errors.append(
                forbidden_field(
                    "spec.schedulingGates", "only deletion is allowed, but found new scheduling gate"
                )
            )
        if gates:
            for spec in (before, after):
                spec.pop("nodeSelector", None)
                spec.pop("affinity", None)
        if before != after:
            errors.append(forbidden_field("spec", _IMMUTABLE))
        return errors

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """The class of service stays."""
        after, before = (new.get("status") or {}).get("qosClass"), (old.get("status") or {}).get("qosClass")
        if after and before and after != before:
            return [invalid_value("status.qosClass", after, "field is immutable")]
        return []

    def prepare_status_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """The class of service is kept when the writer leaves it out."""
        super().prepare_status_update(new, old, context)
        known = (old.get("status") or {}).get("qosClass")
        if known and isinstance(new.get("status"), dict):
            new["status"].setdefault("qosClass", known)

    def graceful_delete_s(self, obj: JsonObject, requested_s: int | None) -> int | None:
        """A pod that no node has, or that has ended, goes at once; others get the time they ask for."""
        spec, status = obj.get("spec") or {}, obj.get("status") or {}
        grace_s = requested_s if requested_s is not None else spec.get("terminationGracePeriodSeconds", 30)
        if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
            grace_s = 0
        return 1 if grace_s < 0 else int(grace_s)


def _check_deadline(before: JsonObject, after: JsonObject) -> list[FieldError]:
    old, new = before.get("activeDeadlineSeconds"), after.get("activeDeadlineSeconds")
    if old is None or new == old:
        return []
    if new is None:
        return [
            invalid_value(
                "spec.activeDeadlineSeconds", new, "must not update from a positive integer to nil value"
            )
        ]
    if new > old:
        return [
            invalid_value("spec.activeDeadlineSeconds", new, "must be less than or equal to previous value")
        ]
    return []

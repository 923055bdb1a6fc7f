"""What may change in a pod that exists. Source: kubernetes/pkg/apis/core/validation/validation.go ValidatePodUpdate v1.35."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import forbidden_field, invalid_value
from k3py.api.object import deep_copy

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject, JsonValue

_FROZEN: Final = (
    "pod updates may not change fields other than `spec.containers[*].image`, `spec.initContainers[*].image`, "
    "`spec.activeDeadlineSeconds`, `spec.tolerations` (only additions to existing tolerations), "
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_APPARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"
MIRROR: Final = "kubernetes.io/config.mirror"
_DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
_COST: Final = re.compile(r"(0|-?[1-9][0-9]{0,9})\Z")
_AFFINITY: Final = "spec.affinity.nodeAffinity"
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"


def validate_mutation(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """Compare two pod specs; `new` is valid by itself."""
    for field in ("containers", "initContainers"):
        if len(new.get(field) or ()) != len(old.get(field) or ()):
            return [forbidden_field(f"spec.{field}", "pod updates may not add or remove containers")]
    errors = _check_deadline(new.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds"))
    if errors and new.get("activeDeadlineSeconds") is not None:
        return errors
    errors += _check_tolerations(new.get("tolerations") or (), old.get("tolerations") or ())
    errors += _check_gates(new.get("schedulingGates") or (), old.get("schedulingGates") or ())
    if new == old:
        return errors
    munged = _munge(new, old)
    if old.get("schedulingGates"):
        errors += _check_gated(munged, old)
    if _compact(munged) != _compact(old):
        errors.append(forbidden_field("spec", _FROZEN))
    return errors


def _check_deadline(new: int | None, old: int | None) -> list[FieldError]:
    path = "spec.activeDeadlineSeconds"
    if new is None:
        detail = "must not update from a positive integer to nil value"
        return [invalid_value(path, new, detail)] if old is not None else []
    if old is not None and old < new:
        return [invalid_value(path, new, "must be less than or equal to previous value")]
    return []


def _check_tolerations(new: JsonValue, old: JsonValue) -> list[FieldError]:
    kept = [_untimed(one) for one in new]
    if all(_untimed(one) in kept for one in old):
        return []
    detail = "existing toleration can not be modified except its tolerationSeconds"
    return [forbidden_field("spec.tolerations", detail)]


def _untimed(toleration: JsonObject) -> JsonObject:
    return {key: value for key, value in toleration.items() if key != "tolerationSeconds"}


def _check_gates(new: JsonValue, old: JsonValue) -> list[FieldError]:
    known = {one.get("name") for one in old}
    return [
        forbidden_field(
            f"spec.schedulingGates[{index}].name",
            f"only deletion is allowed, but found new scheduling gate '{one.get('name')}'",
        )
        for index, one in enumerate(new)
        if one.get("name") not in known
    ]


def _munge(new: JsonObject, old: JsonObject) -> JsonObject:
    """Return `new` with everything that was checked already, or may change freely, as it was."""
    munged: JsonObject = deep_copy(new)
    for field in ("containers", "initContainers"):
        for container, before in zip(munged.get(field) or (), old.get(field) or (), strict=True):
            container["image"] = before.get("image")
    for field in ("activeDeadlineSeconds", "tolerations", "schedulingGates"):
        _restore(munged, old, field)
    if (old.get("terminationGracePeriodSeconds") or 0) < 0 and new.get("terminationGracePeriodSeconds") == 1:
        munged["terminationGracePeriodSeconds"] = old["terminationGracePeriodSeconds"]
    return munged


def _restore(obj: JsonObject, old: JsonObject, field: str) -> None:
    if old.get(field) is not None:
        obj[field] = old[field]
    else:
        obj.pop(field, None)


def _compact(spec: JsonObject) -> JsonObject:
    """Drop empty lists and maps at the top: absent and empty are the same to upstream."""
    return {key: value for key, value in spec.items() if value not in ([], {}, None)}


def _check_gated(munged: JsonObject, old: JsonObject) -> list[FieldError]:
    """A pod that gates hold back may be narrowed down to fewer nodes; restores in `munged` what it has checked."""
    errors: list[FieldError] = []
    selector, before = munged.get("nodeSelector") or {}, old.get("nodeSelector") or {}
    if any(selector.get(key) != value for key, value in before.items()):
        detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        errors.append(invalid_value("spec.nodeSelector", selector, detail))
    _restore(munged, old, "nodeSelector")
    affinity, known = munged.get("affinity") or {}, old.get("affinity") or {}
    errors += _check_node_affinity(affinity.get("nodeAffinity"), known.get("nodeAffinity"))
    restored = {**affinity, "nodeAffinity": known.get("nodeAffinity")}
    restored = {key: value for key, value in restored.items() if value is not None}
    if restored or known:
        munged["affinity"] = restored
        if not restored and not old.get("affinity"):
            munged.pop("affinity")
    else:
        munged.pop("affinity", None)
    return errors


def _check_node_affinity(new: JsonObject | None, old: JsonObject | None) -> list[FieldError]:
    before = ((old or {}).get(_REQUIRED) or {}).get("nodeSelectorTerms") or []
    if not before:
        return []
    after = ((new or {}).get(_REQUIRED) or {}).get("nodeSelectorTerms") or []
    path = f"{_AFFINITY}.{_REQUIRED}.nodeSelectorTerms"
    if len(after) != len(before):
        detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        return [invalid_value(path, after, detail)]
    detail = "only additions are allowed (no mutations or deletions)"
    return [
        invalid_value(f"{path}[{index}]", term, detail)
        for index, (term, known) in enumerate(zip(after, before, strict=True))
        if not _only_adds(term, known)
    ]


def _only_adds(new: JsonObject, old: JsonObject) -> bool:
    parts = ("matchExpressions", "matchFields")
    if not any(old.get(part) for part in parts):
        return not any(new.get(part) for part in parts)
    return all((new.get(part) or [])[: len(old.get(part) or [])] == (old.get(part) or []) for part in parts)


def check_annotation_changes(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """AppArmor's old annotations and the mark of mirror pods stay; both are metadata."""
    before, after = (
        {
            key: value
            for key, value in (one.get("annotations") or {}).items()
            if key.startswith(_APPARMOR) or key == MIRROR
        }
        for one in (old, new)
    )
    return [
        forbidden_field(f"metadata.annotations[{key}]", "may not add, remove or update this annotation")
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]


def check_annotations(pod: JsonObject) -> list[FieldError]:
    """A mirror pod has its node; the cost of a deletion is a number."""
    annotations = pod["metadata"].get("annotations") or {}
    errors: list[FieldError] = []
    if MIRROR in annotations and not (pod.get("spec") or {}).get("nodeName"):
        detail = "must set spec.nodeName if mirror pod annotation is set"
        errors.append(invalid_value(f"metadata.annotations[{MIRROR}]", annotations[MIRROR], detail))
    cost = annotations.get(_DELETION_COST)
    if cost is not None and not _COST.match(cost):
        errors.append(
            invalid_value(f"metadata.annotations[{_DELETION_COST}]", cost, "must be a 32bit integer")
        )
    return errors

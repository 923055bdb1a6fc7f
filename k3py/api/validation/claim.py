"""What a volume claim asks for. Source: kubernetes/pkg/apis/core/validation/validation.go ValidatePersistentVolumeClaimSpec v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import forbidden_field, invalid_value, not_supported, required
from k3py.api.names import find_subdomain_faults
from k3py.api.validation.resources import amount_of, check_quantity, check_resource_name
from k3py.api.validation.scalar import IMMUTABLE, NOT_POSITIVE, check_text
from k3py.api.validation.selector import validate_selector

if TYPE_CHECKING:
    from decimal import Decimal

    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject, JsonValue

MODES: Final = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES: Final = ("Block", "Filesystem")
_RESIZE_STATES: Final = (
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizePending",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
)


def check_access_modes(modes: JsonValue, path: str) -> list[FieldError]:
    """At least one known mode; ReadWriteOncePod only alone."""
    if not modes:
        return [required(path, "at least 1 access mode is required")]
    errors = [not_supported(path, mode, MODES) for mode in modes if mode not in MODES]
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        errors.append(forbidden_field(path, "may not use ReadWriteOncePod with other access modes"))
    return errors


def validate_claim_spec(spec: JsonObject, path: str) -> list[FieldError]:
    """Check a PersistentVolumeClaimSpec."""
    errors = check_access_modes(spec.get("accessModes"), f"{path}.accessModes")
    if spec.get("selector") is not None:
        errors += validate_selector(spec["selector"], f"{path}.selector")
    requests = (spec.get("resources") or {}).get("requests") or {}
    where = f"{path}.resources[storage]"
    if "storage" not in requests:
        errors.append(required(where))
    else:
        errors += check_resource_name("storage", where)
        if amount_of(requests["storage"]) <= 0:
            errors.append(invalid_value(where, requests["storage"], NOT_POSITIVE))
    for field in ("storageClassName", "volumeAttributesClassName"):
        if spec.get(field):
            errors += check_text(spec[field], f"{path}.{field}", find_subdomain_faults)
    mode = spec.get("volumeMode")
    if mode is not None and mode not in VOLUME_MODES:
        errors.append(not_supported(f"{path}.volumeMode", mode, VOLUME_MODES))
    for field in ("dataSource", "dataSourceRef"):
        if spec.get(field) is not None:
            errors += _validate_data_source(spec[field], f"{path}.{field}")
    return errors


def _validate_data_source(source: JsonObject, path: str) -> list[FieldError]:
    errors = [required(f"{path}.{field}") for field in ("name", "kind") if not source.get(field)]
    if not source.get("apiGroup") and source.get("kind") != "PersistentVolumeClaim":
        detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        errors.append(invalid_value(path, source.get("kind", ""), detail))
    return errors


def validate_claim_change(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """Compare two claims: the size of a bound one may grow; volume and class may be filled in once."""
    before, after = dict(old.get("spec") or {}), dict(new.get("spec") or {})
    mode = after.get("volumeMode")
    is_bound = (old.get("status") or {}).get("phase") == "Bound"
    sizes = [_size_of(one) for one in (before, after)]
    if not before.get("volumeName"):
        before["volumeName"] = after.get("volumeName")
    if before.get("storageClassName") is None:
        before["storageClassName"] = after.get("storageClassName")
    if is_bound:
        after["resources"] = before.get("resources")
        if ((new.get("spec") or {}).get("resources") or {}).get("limits") != (
            (old.get("spec") or {}).get("resources") or {}
        ).get("limits"):
            after["resources"] = new["spec"].get("resources")
        after["volumeAttributesClassName"] = before.get("volumeAttributesClassName")
    errors: list[FieldError] = []
    if _present(before) != _present(after):
        detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        errors.append(forbidden_field("spec", detail))
    actual = ((old.get("status") or {}).get("capacity") or {}).get("storage")
    if sizes[1] < sizes[0] and sizes[1] <= amount_of(actual or 0):
        path = "spec.resources.requests.storage"
        errors.append(forbidden_field(path, "field can not be less than status.capacity"))
    if mode != (old.get("spec") or {}).get("volumeMode"):
        errors.append(invalid_value("volumeMode", mode, IMMUTABLE))
    return errors


def _size_of(spec: JsonObject) -> Decimal:
    return amount_of(((spec.get("resources") or {}).get("requests") or {}).get("storage", 0))


def _present(spec: JsonObject) -> JsonObject:
    return {key: value for key, value in spec.items() if value is not None}


def validate_claim_status(status: JsonObject) -> list[FieldError]:
    """Check what a claim got."""
    errors: list[FieldError] = []
    for name, amount in (status.get("capacity") or {}).items():
        errors += check_quantity(name, amount, f"status.capacity[{name}]")
    for field in ("allocatedResources", "allocatedResourceStatuses"):
        for name in status.get(field) or ():
            if name != "storage" and "/" not in name:
                errors.append(not_supported(f"status.{field}", name, ("storage",)))
    for state in (status.get("allocatedResourceStatuses") or {}).values():
        if state not in _RESIZE_STATES:
            errors.append(not_supported("status.allocatedResourceStatuses", state, _RESIZE_STATES))
    return errors

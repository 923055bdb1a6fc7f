"""What a pod's status may say. Source: kubernetes/pkg/apis/core/validation/validation.go ValidatePodStatusUpdate v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import forbidden_field, invalid_value
from k3py.api.names import find_qualified_name_faults, find_subdomain_faults
from k3py.api.validation.scalar import IMMUTABLE, check_non_negative, check_text, parse_ip

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject, JsonValue

_BAD_IP: Final = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"


def validate_status(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """Check a write to the status subresource."""
    status, before = new.get("status") or {}, old.get("status") or {}
    spec = old.get("spec") or {}
    errors: list[FieldError] = []
    for index, one in enumerate(status.get("conditions") or ()):
        kind = one.get("type", "")
        errors += check_text(kind, f"status.conditions[{index}].Type", find_qualified_name_faults)
    nominated = status.get("nominatedNodeName")
    if nominated and nominated != before.get("nominatedNodeName"):
        errors += check_text(nominated, "status.nominatedNodeName", find_subdomain_faults)
    if status.get("qosClass", "") != before.get("qosClass", ""):
        errors.append(invalid_value("status.qosClass", status.get("qosClass", ""), IMMUTABLE))
    errors += check_non_negative(status.get("observedGeneration"), "status.observedGeneration")
    errors += _check_no_resurrection(status, before, spec)
    errors += _check_addresses(status.get("podIPs") or (), "status.podIPs")
    errors += _check_addresses(status.get("hostIPs") or (), "status.hostIPs")
    hosts = status.get("hostIPs") or ()
    for index, one in enumerate(hosts):
        if parse_ip(one.get("ip", "")) is None:
            errors.append(invalid_value(f"status.hostIPs[{index}].ip", one.get("ip", ""), _BAD_IP))
    if hosts and status.get("hostIP") and hosts[0].get("ip") != status["hostIP"]:
        errors.append(invalid_value("status.hostIPs[0].ip", hosts[0].get("ip"), "must be equal to `hostIP`"))
    return errors


def _check_no_resurrection(status: JsonObject, before: JsonObject, spec: JsonObject) -> list[FieldError]:
    """A container that ended and may not restart does not come back."""
    policy = spec.get("restartPolicy", "Always")
    sidecars = {
        one["name"] for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"
    }
    own = {
        one["name"]
        for field in ("containers", "initContainers")
        for one in spec.get(field) or ()
        if one.get("restartPolicy") or one.get("restartPolicyRules")
    }
    errors: list[FieldError] = []
    for field in ("containerStatuses", "initContainerStatuses"):
        if policy == "Always" and field == "containerStatuses":
            continue
        ended = {
            one["name"]: one["state"]["terminated"]
            for one in before.get(field) or ()
            if (one.get("state") or {}).get("terminated") is not None
        }
        for index, one in enumerate(status.get(field) or ()):
            last = ended.get(one.get("name"))
            if last is None or one["name"] in sidecars or one["name"] in own:
                continue
            if policy != "Never" and last.get("exitCode", 0) != 0:
                continue
            if (one.get("state") or {}).get("terminated") is None:
                detail = "may not be transitioned to non-terminated state"
                errors.append(forbidden_field(f"status.{field}[{index}].state", detail))
    return errors


def _check_addresses(addresses: JsonValue, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    families: list[int] = []
    for index, one in enumerate(addresses):
        found = parse_ip(one.get("ip", ""))
        if found is None:
            errors.append(invalid_value(f"{path}[{index}]", one.get("ip", ""), _BAD_IP))
        else:
            families.append(found.version)
    listed = [one.get("ip", "") for one in addresses]
    if len(listed) > 1 and not errors and (len(listed) > 2 or len(set(families)) < 2):
        detail = "may specify no more than one IP for each IP family"
        errors.append(invalid_value(path, listed, detail))
    return errors

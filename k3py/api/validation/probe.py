"""Probes and hooks. Source: kubernetes/pkg/apis/core/validation/validation.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import forbidden_field, invalid_value, required
from k3py.api.validation.port import find_port_name_faults

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject, JsonValue

_COUNTS: Final = (
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
)
_HANDLERS: Final = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")


def validate_probe(probe: JsonObject, path: str, *, kind: str) -> list[FieldError]:
    """Check a probe; kind: "livenessProbe", "readinessProbe" or "startupProbe"."""
    errors = validate_handler(probe, path)
    errors += [
        invalid_value(f"{path}.{field}", probe[field], "must be greater than or equal to 0")
        for field in _COUNTS
        if probe.get(field, 0) < 0
    ]
    if kind != "readinessProbe" and probe.get("successThreshold", 1) != 1:
        errors.append(invalid_value(f"{path}.successThreshold", probe["successThreshold"], "must be 1"))
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None:
        if kind == "readinessProbe":
            errors.append(
                invalid_value(
                    f"{path}.terminationGracePeriodSeconds", grace, "must not be set for readinessProbes"
                )
            )
        elif grace <= 0:
            errors.append(
                invalid_value(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0")
            )
    return errors


def validate_handler(handler: JsonObject, path: str) -> list[FieldError]:
    """Check that exactly one action is there, and that it is complete."""
    found = [field for field in _HANDLERS if handler.get(field) is not None]
    if not found:
        return [required(path, "must specify a handler type")]
    errors = [
        forbidden_field(f"{path}.{field}", "may not specify more than 1 handler type") for field in found[1:]
    ]
    action = handler[found[0]]
    match found[0]:
        case "exec":
            if not action.get("command"):
                errors.append(required(f"{path}.exec.command"))
        case "httpGet":
            if not action.get("path"):
                errors.append(required(f"{path}.httpGet.path"))
            errors += _validate_port(action.get("port"), f"{path}.httpGet.port")
        case "tcpSocket" | "grpc":
            errors += _validate_port(action.get("port"), f"{path}.{found[0]}.port")
    return errors


def _validate_port(port: JsonValue, path: str) -> list[FieldError]:
    if isinstance(port, int):
        if not 0 < port < 65536:
            return [invalid_value(path, port, "must be between 1 and 65535, inclusive")]
        return []
    return [invalid_value(path, port, fault) for fault in find_port_name_faults(str(port or ""))]

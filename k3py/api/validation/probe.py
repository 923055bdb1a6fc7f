"""Probes, lifecycle hooks and what they do. Source: kubernetes/pkg/apis/core/validation/validation.go v1.35."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import forbidden_field, invalid_value, required
from k3py.api.validation.scalar import check_known, check_non_negative, check_port_or_name

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_COUNTS: Final = (
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
)
_HANDLERS: Final = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_HEADER: Final = re.compile(r"[-A-Za-z0-9]+\Z")
_SCHEMES: Final = ("HTTP", "HTTPS")


def validate_probe(probe: JsonObject, path: str, *, kind: str, grace_s: int) -> list[FieldError]:
    """Check a probe; kind: "livenessProbe", "readinessProbe" or "startupProbe"."""
    errors = validate_handler(probe, path, grace_s=grace_s)
    for field in _COUNTS:
        errors += check_non_negative(probe.get(field), f"{path}.{field}")
    threshold = probe.get("successThreshold", 1)
    if kind != "readinessProbe" and threshold != 1:
        errors.append(invalid_value(f"{path}.successThreshold", threshold, "must be 1"))
    grace = probe.get("terminationGracePeriodSeconds")
    where = f"{path}.terminationGracePeriodSeconds"
    if grace is not None:
        if grace <= 0:
            errors.append(invalid_value(where, grace, "must be greater than 0"))
        if kind == "readinessProbe":
            errors.append(invalid_value(where, grace, "must not be set for readinessProbes"))
    return errors


def validate_lifecycle(lifecycle: JsonObject, path: str, *, grace_s: int) -> list[FieldError]:
    """Check the hooks of a container."""
    errors: list[FieldError] = []
    for hook in ("postStart", "preStop"):
        if lifecycle.get(hook) is not None:
            errors += validate_handler(lifecycle[hook], f"{path}.{hook}", grace_s=grace_s)
    return errors


def validate_handler(handler: JsonObject, path: str, *, grace_s: int) -> list[FieldError]:
    """Check that exactly one action is there, and that it is complete."""
    found = [field for field in _HANDLERS if handler.get(field) is not None]
    if not found:
        return [required(path, "must specify a handler type")]
    errors = [
        forbidden_field(f"{path}.{field}", "may not specify more than 1 handler type") for field in found[1:]
    ]
    action, where = handler[found[0]], f"{path}.{found[0]}"
    match found[0]:
        case "exec":
            if not action.get("command"):
                errors.append(required(f"{where}.command"))
        case "httpGet":
            errors += _validate_http_get(action, where)
        case "tcpSocket" | "grpc":
            errors += check_port_or_name(action.get("port"), f"{where}.port")
        case "sleep":
            seconds = action.get("seconds", 0)
            if not 0 <= seconds <= grace_s:
                detail = f"must be non-negative and less than terminationGracePeriodSeconds ({grace_s})"
                errors.append(invalid_value(where, seconds, detail))
    return errors


def _validate_http_get(action: JsonObject, path: str) -> list[FieldError]:
    errors = [] if action.get("path") else [required(f"{path}.path")]
    errors += check_port_or_name(action.get("port"), f"{path}.port")
    errors += check_known(action.get("scheme", "HTTP"), f"{path}.scheme", _SCHEMES)
    for header in action.get("httpHeaders") or ():
        name = header.get("name", "")
        if not _HEADER.match(name):
            detail = (
                "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used "
                "for validation is '[-A-Za-z0-9]+')"
            )
            errors.append(invalid_value(f"{path}.httpHeaders", name, detail))
    return errors

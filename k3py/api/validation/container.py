"""One container. Source: kubernetes/pkg/apis/core/validation/validation.go v1.35 (api-machinery.md §3.2)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import duplicate, forbidden_field, invalid_value, not_supported, required
from k3py.api.names import find_label_faults, find_qualified_name_faults
from k3py.api.quantity import parse_quantity
from k3py.api.validation.port import find_port_name_faults
from k3py.api.validation.probe import validate_handler, validate_probe

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_PULL: Final = ("Always", "Never", "IfNotPresent")
_TERMINATION: Final = ("File", "FallbackToLogsOnError")
_PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
_ENV: Final = re.compile(r"[ -<>-~]+\Z")
_ENV_TEXT: Final = (
    "a valid environment variable name must consist only of printable ASCII characters other than '='"
)


def validate_container(
    container: JsonObject, path: str, volumes: set[str], *, init: bool
) -> list[FieldError]:
    """Check a container; `volumes`: names of the pod's volumes."""
    errors: list[FieldError] = []
    name = container.get("name", "")
    if not name:
        errors.append(required(f"{path}.name"))
    else:
        errors += [invalid_value(f"{path}.name", name, fault) for fault in find_label_faults(name)]
    image = container.get("image", "")
    if not image:
        errors.append(required(f"{path}.image"))
    elif image != image.strip():
        errors.append(invalid_value(f"{path}.image", image, "must not have leading or trailing whitespace"))
    sidecar = init and container.get("restartPolicy") == "Always"
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(probe) is not None:
            if init and not sidecar:
                errors.append(
                    forbidden_field(
                        f"{path}.{probe}", "may not be set for init containers without restartPolicy=Always"
                    )
                )
            else:
                errors += validate_probe(container[probe], f"{path}.{probe}", kind=probe)
    if container.get("lifecycle") is not None:
        if init and not sidecar:
            errors.append(
                forbidden_field(
                    f"{path}.lifecycle", "may not be set for init containers without restartPolicy=Always"
                )
            )
        else:
            for hook in ("postStart", "preStop"):
                if (container["lifecycle"] or {}).get(hook) is not None:
                    errors += validate_handler(container["lifecycle"][hook], f"{path}.lifecycle.{hook}")
    if container.get("imagePullPolicy", "Always") not in _PULL:
        errors.append(not_supported(f"{path}.imagePullPolicy", container["imagePullPolicy"], _PULL))
    if container.get("terminationMessagePolicy", "File") not in _TERMINATION:
        errors.append(
            not_supported(
                f"{path}.terminationMessagePolicy", container["terminationMessagePolicy"], _TERMINATION
            )
        )
    errors += _validate_ports(container, path)
    errors += _validate_environment(container, path)
    errors += _validate_mounts(container, path, volumes)
    errors += validate_resources(container.get("resources") or {}, f"{path}.resources")
    return errors


def _validate_ports(container: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    names: set[str] = set()
    for index, port in enumerate(container.get("ports") or ()):
        where = f"{path}.ports[{index}]"
        number = port.get("containerPort", 0)
        if not number:
            errors.append(required(f"{where}.containerPort"))
        elif not 0 < number < 65536:
            errors.append(
                invalid_value(f"{where}.containerPort", number, "must be between 1 and 65535, inclusive")
            )
        host = port.get("hostPort", 0)
        if host and not 0 < host < 65536:
            errors.append(invalid_value(f"{where}.hostPort", host, "must be between 1 and 65535, inclusive"))
        if port.get("protocol", "TCP") not in _PROTOCOLS:
            errors.append(not_supported(f"{where}.protocol", port["protocol"], _PROTOCOLS))
        name = port.get("name", "")
        if name:
            errors += [invalid_value(f"{where}.name", name, fault) for fault in find_port_name_faults(name)]
            if name in names:
                errors.append(duplicate(f"{where}.name", name))
            names.add(name)
    return errors


def _validate_environment(container: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, one in enumerate(container.get("env") or ()):
        where = f"{path}.env[{index}]"
        name = one.get("name", "")
        if not name:
            errors.append(required(f"{where}.name"))
        elif not _ENV.match(name):
            errors.append(invalid_value(f"{where}.name", name, _ENV_TEXT))
        source = one.get("valueFrom")
        if source is not None:
            if not source:
                errors.append(
                    invalid_value(
                        f"{where}.valueFrom",
                        "",
                        "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
                    )
                )
            elif one.get("value"):
                errors.append(
                    invalid_value(f"{where}.valueFrom", "", "may not be specified when `value` is not empty")
                )
            elif len(source) > 1:
                errors.append(
                    invalid_value(
                        f"{where}.valueFrom", "", "may not have more than one field specified at a time"
                    )
                )
    for index, one in enumerate(container.get("envFrom") or ()):
        where = f"{path}.envFrom[{index}]"
        sources = [field for field in ("configMapRef", "secretRef") if one.get(field) is not None]
        if not sources:
            errors.append(invalid_value(where, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(sources) > 1:
            errors.append(invalid_value(where, "", "may not have more than one field specified at a time"))
        errors += [required(f"{where}.{field}.name") for field in sources if not one[field].get("name")]
    return errors


def _validate_mounts(container: JsonObject, path: str, volumes: set[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        where = f"{path}.volumeMounts[{index}]"
        name, target = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            errors.append(required(f"{where}.name"))
        elif name not in volumes:
            errors.append(_not_found(f"{where}.name", name))
        if not target:
            errors.append(required(f"{where}.mountPath"))
        elif target in seen:
            errors.append(invalid_value(f"{where}.mountPath", target, "must be unique"))
        seen.add(target)
        for field in ("subPath", "subPathExpr"):
            value = mount.get(field, "")
            if value.startswith("/"):
                errors.append(invalid_value(f"{path}.volumeMounts.{field}", value, "must be a relative path"))
            if ".." in value.split("/"):
                errors.append(invalid_value(f"{path}.volumeMounts.{field}", value, "must not contain '..'"))
        if mount.get("subPath") and mount.get("subPathExpr"):
            errors.append(
                invalid_value(
                    f"{path}.volumeMounts.subPathExpr",
                    mount["subPathExpr"],
                    "subPathExpr and subPath are mutually exclusive",
                )
            )
    return errors


def _not_found(path: str, name: str) -> FieldError:
    from k3py.api.fielderror import FieldError  # noqa: PLC0415 - only here as a value

    return FieldError(path, "FieldValueNotFound", "", name)


def validate_resources(resources: JsonObject, path: str) -> list[FieldError]:
    """Check quantities, and that requests do not exceed limits."""
    errors: list[FieldError] = []
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for field, quantities in (("limits", limits), ("requests", requests)):
        for name, text in quantities.items():
            where = f"{path}.{field}[{name}]"
            errors += [
                invalid_value(f"{path}.{field}", name, fault) for fault in find_qualified_name_faults(name)
            ]
            if (
                "/" not in name
                and name not in ("cpu", "memory", "ephemeral-storage")
                and not name.startswith("hugepages-")
            ):
                errors.append(
                    invalid_value(where, name, "must be a standard resource type or fully qualified")
                )
            if parse_quantity(str(text)) < 0:
                errors.append(invalid_value(where, text, "must be greater than or equal to 0"))
    for name, text in requests.items():
        if name in limits and parse_quantity(str(text)) > parse_quantity(str(limits[name])):
            errors.append(
                invalid_value(
                    f"{path}.requests", text, f"must be less than or equal to {name} limit of {limits[name]}"
                )
            )
        elif "/" in name and name not in limits:
            errors.append(required(f"{path}.limits", "Limit must be set for non overcommitable resources"))
    return errors

"""Environment of containers and the downward API. Source: kubernetes/pkg/apis/core/validation/validation.go v1.35."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import invalid_value, not_supported, required
from k3py.api.names import find_qualified_name_faults, find_subdomain_faults
from k3py.api.quantity import parse_quantity
from k3py.api.validation.data import find_key_faults
from k3py.api.validation.scalar import check_descending_path, check_text, not_found

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_NAME: Final = re.compile(r"[ -<>-~]+\Z")
_NAME_TEXT: Final = (
    "a valid environment variable name must consist only of printable ASCII characters other than '='"
)
_SUBSCRIPTED: Final = re.compile(r"(.*)\['(.*)'\]\Z", re.DOTALL)
_CONVERTIBLE: Final = frozenset(
    (
        "metadata.annotations",
        "metadata.labels",
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.host",
        "spec.restartPolicy",
        "spec.serviceAccountName",
        "spec.schedulerName",
        "status.phase",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    )
)
ENVIRONMENT_FIELDS: Final = frozenset(
    (
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    )
)
VOLUME_FIELDS: Final = frozenset(
    ("metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid")
)
_RESOURCES: Final = (
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
)
_PREFIXES: Final = ("limits.hugepages-", "requests.hugepages-")
_CPU_DIVISORS: Final = ("1m", "1")
_SIZE_DIVISORS: Final = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
_SOURCES: Final = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


def _find_name_faults(name: str) -> list[str]:
    return [] if _NAME.match(name) else [_NAME_TEXT]


def validate_environment(
    container: JsonObject, path: str, volumes: Mapping[str, JsonObject]
) -> list[FieldError]:
    """Check env and envFrom of a container."""
    errors: list[FieldError] = []
    for index, one in enumerate(container.get("env") or ()):
        where = f"{path}.env[{index}]"
        name = one.get("name", "")
        errors += (
            check_text(name, f"{where}.name", _find_name_faults) if name else [required(f"{where}.name")]
        )
        if one.get("valueFrom") is not None:
            errors += _validate_source(one, f"{where}.valueFrom", volumes)
    for index, one in enumerate(container.get("envFrom") or ()):
        errors += _validate_bulk(one, f"{path}.envFrom", index)
    return errors


def _validate_source(variable: JsonObject, path: str, volumes: Mapping[str, JsonObject]) -> list[FieldError]:
    source = variable["valueFrom"]
    found = [field for field in _SOURCES if source.get(field) is not None]
    errors: list[FieldError] = []
    for field in found:
        where = f"{path}.{field}"
        match field:
            case "fieldRef":
                errors += validate_field_ref(source[field], where, ENVIRONMENT_FIELDS)
            case "resourceFieldRef":
                errors += validate_resource_ref(source[field], where, in_volume=False)
            case "fileKeyRef":
                errors += _validate_file_ref(source[field], where, volumes)
            case _:
                errors += _validate_key_ref(source[field], where)
    if not found:
        listed = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        errors.append(invalid_value(path, "", f"must specify one of: {listed}"))
    elif variable.get("value"):
        errors.append(invalid_value(path, "", "may not be specified when `value` is not empty"))
    elif len(found) > 1:
        errors.append(invalid_value(path, "", "may not have more than one field specified at a time"))
    return errors


def _validate_key_ref(source: JsonObject, path: str) -> list[FieldError]:
    errors = check_text(source.get("name", ""), f"{path}.name", find_subdomain_faults)
    key = source.get("key", "")
    return errors + (check_text(key, f"{path}.key", find_key_faults) if key else [required(f"{path}.key")])


def _validate_file_ref(source: JsonObject, path: str, volumes: Mapping[str, JsonObject]) -> list[FieldError]:
    errors: list[FieldError] = []
    key, name, file = source.get("key", ""), source.get("volumeName", ""), source.get("path", "")
    errors += check_text(key, f"{path}.key", _find_name_faults) if key else [required(f"{path}.key")]
    if not name:
        errors.append(required(f"{path}.volumeName"))
    elif name not in volumes:
        errors.append(not_found(f"{path}.volumeName", name))
    elif volumes[name].get("emptyDir") is None:
        errors.append(invalid_value(f"{path}.volumeName", name, "must be an emptyDir volume"))
    errors += check_descending_path(file, f"{path}.path") if file else [required(f"{path}.path")]
    return errors


def _validate_bulk(source: JsonObject, path: str, index: int) -> list[FieldError]:
    where = f"{path}[{index}]"
    errors: list[FieldError] = []
    if source.get("prefix"):
        errors += check_text(source["prefix"], f"{where}.prefix", _find_name_faults)
    found = [field for field in ("configMapRef", "secretRef") if source.get(field) is not None]
    for field in found:
        name = source[field].get("name", "")
        at = f"{where}.{field}.name"
        errors += check_text(name, at, find_subdomain_faults) if name else [required(at)]
    if not found:
        errors.append(invalid_value(path, "", "must specify one of: `configMapRef` or `secretRef`"))
    elif len(found) > 1:
        errors.append(invalid_value(path, "", "may not have more than one field specified at a time"))
    return errors


def validate_field_ref(source: JsonObject, path: str, allowed: AbstractSet[str]) -> list[FieldError]:
    """Check a reference to a field of the pod; `allowed`: paths without a subscript."""
    if not source.get("apiVersion", "v1"):
        return [required(f"{path}.apiVersion")]
    field = source.get("fieldPath", "")
    where = f"{path}.fieldPath"
    if not field:
        return [required(where)]
    subscripted = _SUBSCRIPTED.match(field)
    if source.get("apiVersion", "v1") != "v1":
        return [invalid_value(where, field, f"unsupported pod version: {source['apiVersion']}")]
    if subscripted is None:
        if field not in _CONVERTIBLE:
            return [
                invalid_value(where, field, f"error converting fieldPath: field label not supported: {field}")
            ]
        field = "spec.nodeName" if field == "spec.host" else field
        return [] if field in allowed else [not_supported(where, field, sorted(allowed))]
    base, key = subscripted[1], subscripted[2]
    if base == "metadata.annotations":
        return check_text(key.lower(), path, find_qualified_name_faults)
    if base == "metadata.labels":
        return check_text(key, path, find_qualified_name_faults)
    return [
        invalid_value(
            where, field, f"error converting fieldPath: field label does not support subscript: {base}"
        )
    ]


def validate_resource_ref(source: JsonObject, path: str, *, in_volume: bool) -> list[FieldError]:
    """Check a reference to a resource of a container."""
    errors: list[FieldError] = []
    name = source.get("resource", "")
    if in_volume and not source.get("containerName"):
        errors.append(required(f"{path}.containerName"))
    elif not name:
        errors.append(required(f"{path}.resource"))
    elif name not in _RESOURCES and not name.startswith(_PREFIXES):
        errors.append(not_supported(f"{path}.resource", name, _RESOURCES))
    divisor = str(source.get("divisor") or "0")
    if parse_quantity(divisor):
        allowed = _CPU_DIVISORS if name.endswith(".cpu") else _SIZE_DIVISORS
        if divisor not in allowed:
            detail = f"only divisor's values {', '.join(allowed)} are supported with the resource"
            errors.append(invalid_value(f"{path}.divisor", name, detail))
    return errors

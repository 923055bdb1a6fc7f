"""Volumes of pods. Source: kubernetes/pkg/apis/core/validation/validation.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.fielderror import forbidden_field, invalid_value, required

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


def validate_volume(volume: JsonObject, path: str) -> list[FieldError]:
    """Check that a volume has exactly one source, and that it is complete."""
    sources = [field for field, value in volume.items() if field != "name" and value is not None]
    if not sources:
        return [required(path, "must specify a volume type")]
    errors = [
        forbidden_field(f"{path}.{field}", "may not specify more than 1 volume type") for field in sources[1:]
    ]
    source = volume[sources[0]]
    where = f"{path}.{sources[0]}"
    match sources[0]:
        case "hostPath":
            if not source.get("path"):
                errors.append(required(f"{where}.path"))
            elif ".." in source["path"].split("/"):
                errors.append(invalid_value(f"{where}.path", source["path"], "must not contain '..'"))
        case "secret":
            if not source.get("secretName"):
                errors.append(required(f"{where}.secretName"))
            errors += _validate_items(source, where)
        case "configMap":
            if not source.get("name"):
                errors.append(required(f"{where}.name"))
            errors += _validate_items(source, where)
        case "persistentVolumeClaim":
            if not source.get("claimName"):
                errors.append(required(f"{where}.claimName"))
    return errors


def _validate_items(source: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    mode = source.get("defaultMode")
    if mode is not None and not 0 <= mode <= 0o777:
        errors.append(
            invalid_value(
                f"{path}.defaultMode", mode, "must be a number between 0 and 0777 (octal), both inclusive"
            )
        )
    for index, item in enumerate(source.get("items") or ()):
        where = f"{path}.items[{index}]"
        if not item.get("key"):
            errors.append(required(f"{where}.key"))
        target = item.get("path", "")
        if not target:
            errors.append(required(f"{where}.path"))
        elif target.startswith("/"):
            errors.append(invalid_value(f"{where}.path", target, "must be a relative path"))
        elif ".." in target.split("/"):
            errors.append(invalid_value(f"{where}.path", target, "must not contain '..'"))
    return errors

"""Volume mounts and block devices of containers. Source: kubernetes/pkg/apis/core/validation/validation.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import forbidden_field, invalid_value, not_supported, required
from k3py.api.validation.scalar import check_descending_path, not_found

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_PROPAGATION: Final = ("Bidirectional", "HostToContainer", "None")
_RECURSIVE: Final = ("Disabled", "IfPossible", "Enabled")


def validate_mounts(container: JsonObject, path: str, volumes: Mapping[str, JsonObject]) -> list[FieldError]:
    """Check volumeMounts and volumeDevices; `volumes`: the pod's, by name."""
    mounts, devices = container.get("volumeMounts") or (), container.get("volumeDevices") or ()
    device_names = {one.get("name") for one in devices}
    device_paths = {one.get("devicePath") for one in devices}
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        where = f"{path}.volumeMounts[{index}]"
        name, target = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            errors.append(required(f"{where}.name"))
        if name not in volumes:
            errors.append(not_found(f"{where}.name", name))
        if not target:
            errors.append(required(f"{where}.mountPath"))
        if target in seen:
            errors.append(invalid_value(f"{where}.mountPath", target, "must be unique"))
        seen.add(target)
        if name in device_names:
            errors.append(invalid_value(f"{where}.name", name, "must not already exist in volumeDevices"))
        if target in device_paths:
            detail = "must not already exist as a path in volumeDevices"
            errors.append(invalid_value(f"{where}.mountPath", target, detail))
        errors += _validate_sub_paths(mount, f"{path}.volumeMounts", where)
        errors += _validate_sharing(mount, f"{path}.volumeMounts", container)
    return errors + _validate_devices(container, path, volumes)


def _validate_sub_paths(mount: JsonObject, path: str, where: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if mount.get("subPath"):
        errors += check_descending_path(mount["subPath"], f"{path}.subPath")
    if mount.get("subPathExpr"):
        if mount.get("subPath"):
            detail = "subPathExpr and subPath are mutually exclusive"
            errors.append(invalid_value(f"{where}.subPathExpr", mount["subPathExpr"], detail))
        errors += check_descending_path(mount["subPathExpr"], f"{path}.subPathExpr")
    return errors


def _validate_sharing(mount: JsonObject, path: str, container: JsonObject) -> list[FieldError]:
    errors: list[FieldError] = []
    propagation = mount.get("mountPropagation")
    if propagation is not None:
        where = f"{path}.mountPropagation"
        if propagation not in _PROPAGATION:
            errors.append(not_supported(where, propagation, _PROPAGATION))
        elif propagation == "Bidirectional" and not (container.get("securityContext") or {}).get(
            "privileged"
        ):
            errors.append(
                forbidden_field(
                    where, "Bidirectional mount propagation is available only to privileged containers"
                )
            )
    recursive = mount.get("recursiveReadOnly")
    if recursive is not None and recursive != "Disabled":
        where = f"{path}.recursiveReadOnly"
        if recursive not in _RECURSIVE:
            errors.append(not_supported(where, recursive, _RECURSIVE))
        else:
            if not mount.get("readOnly"):
                errors.append(forbidden_field(where, "may only be specified when readOnly is true"))
            if propagation not in (None, "None"):
                detail = "may only be specified when mountPropagation is None or not specified"
                errors.append(forbidden_field(where, detail))
    return errors


def _validate_devices(
    container: JsonObject, path: str, volumes: Mapping[str, JsonObject]
) -> list[FieldError]:
    mounts = container.get("volumeMounts") or ()
    mount_names = {one.get("name") for one in mounts}
    mount_paths = {one.get("mountPath") for one in mounts}
    errors: list[FieldError] = []
    names: set[str] = set()
    paths: set[str] = set()
    for index, device in enumerate(container.get("volumeDevices") or ()):
        where = f"{path}.volumeDevices[{index}]"
        name, target = device.get("name", ""), device.get("devicePath", "")
        for field, value, seen, mounted, detail in (
            ("name", name, names, mount_names, "must not already exist in volumeMounts"),
            ("devicePath", target, paths, mount_paths, "must not already exist as a path in volumeMounts"),
        ):
            if not value:
                errors.append(required(f"{where}.{field}"))
            if value in seen:
                errors.append(invalid_value(f"{where}.{field}", value, "must be unique"))
            seen.add(value)
            if value in mounted:
                errors.append(invalid_value(f"{where}.{field}", value, detail))
        if ".." in target.split("/"):
            errors.append(invalid_value(f"{where}.devicePath", target, "can not contain backsteps ('..')"))
        if name and name not in volumes:
            errors.append(not_found(f"{where}.name", name))
        elif name and not volumes[name].keys() & {"persistentVolumeClaim", "ephemeral"}:
            detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            errors.append(invalid_value(f"{where}.name", name, detail))
    return errors

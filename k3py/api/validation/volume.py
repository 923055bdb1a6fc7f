"""Volumes of pods. Source: kubernetes/pkg/apis/core/validation/validation.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import duplicate, forbidden_field, invalid_value, required
from k3py.api.names import find_label_faults
from k3py.api.validation.environment import VOLUME_FIELDS, validate_field_ref, validate_resource_ref
from k3py.api.validation.resources import amount_of
from k3py.api.validation.scalar import (
    check_choice,
    check_descending_path,
    check_known,
    check_no_backsteps,
    check_text,
    check_volume_file_path,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject, JsonValue

# In the order in which they are looked at: the second one is the one too many.
_SOURCES: Final = (
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
)
_REQUIRED: Final = {
    "gitRepo": ("repository",),
    "gcePersistentDisk": ("pdName",),
    "awsElasticBlockStore": ("volumeID",),
    "secret": ("secretName",),
    "nfs": ("server", "path"),
    "iscsi": ("targetPortal", "iqn"),
    "glusterfs": ("endpoints", "path"),
    "persistentVolumeClaim": ("claimName",),
    "rbd": ("monitors", "image"),
    "cinder": ("volumeID",),
    "cephfs": ("monitors",),
    "quobyte": ("registry", "volume"),
    "flexVolume": ("driver",),
    "configMap": ("name",),
    "azureFile": ("secretName", "shareName"),
    "vsphereVolume": ("volumePath",),
    "photonPersistentDisk": ("pdID",),
    "portworxVolume": ("volumeID",),
    "azureDisk": ("diskName", "diskURI"),
    "scaleIO": ("gateway", "system", "volumeName"),
    "csi": ("driver",),
    "hostPath": ("path",),
    "image": ("reference",),
}
_HOST_PATH_TYPES: Final = (
    "",
    "DirectoryOrCreate",
    "Directory",
    "FileOrCreate",
    "File",
    "Socket",
    "CharDevice",
    "BlockDevice",
)
_PULL: Final = ("Always", "IfNotPresent", "Never")
_LEAST_TOKEN_S: Final = 600
_MOST_TOKEN_S: Final = 1 << 32
_MODE_TEXT: Final = "must be a number between 0 and 0777 (octal), both inclusive"


def validate_volumes(volumes: JsonValue, path: str) -> list[FieldError]:
    """Check names and sources."""
    errors: list[FieldError] = []
    names: set[str] = set()
    for index, volume in enumerate(volumes):
        where = f"{path}[{index}]"
        name = volume.get("name", "")
        found = check_text(name, f"{where}.name", find_label_faults) if name else [required(f"{where}.name")]
        if name in names:
            found.append(duplicate(f"{where}.name", name))
        names.add(name)
        errors += [*_validate_source(volume, where), *found]
    return errors


def _validate_source(volume: JsonObject, path: str) -> list[FieldError]:
    found = [field for field in _SOURCES if volume.get(field) is not None]
    if not found:
        return [required(path, "must specify a volume type")]
    errors = [
        forbidden_field(f"{path}.{field}", "may not specify more than 1 volume type") for field in found[1:]
    ]
    field = found[0]
    source, where = volume[field], f"{path}.{field}"
    errors += [required(f"{where}.{key}") for key in _REQUIRED.get(field, ()) if not source.get(key)]
    check = _CHECKS.get(field)
    return errors + check(source, where) if check is not None else errors


def _validate_empty_dir(source: JsonObject, path: str) -> list[FieldError]:
    if source.get("sizeLimit") is not None and amount_of(source["sizeLimit"]) < 0:
        return [forbidden_field(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")]
    return []


def _validate_host_path(source: JsonObject, path: str) -> list[FieldError]:
    errors = check_no_backsteps(source.get("path", ""), f"{path}.path")
    return errors + check_known(source.get("type") or "", f"{path}.type", _HOST_PATH_TYPES)


def _validate_git_repo(source: JsonObject, path: str) -> list[FieldError]:
    return check_descending_path(source.get("directory", ""), f"{path}.directory")


def _validate_nfs(source: JsonObject, path: str) -> list[FieldError]:
    if source.get("path") and not source["path"].startswith("/"):
        return [invalid_value(f"{path}.path", source["path"], "must be an absolute path")]
    return []


def _validate_files(source: JsonObject, path: str) -> list[FieldError]:
    return _check_mode(source.get("defaultMode"), f"{path}.defaultMode") + _validate_items(source, path)


def _validate_downward(source: JsonObject, path: str) -> list[FieldError]:
    errors = _check_mode(source.get("defaultMode"), f"{path}.defaultMode")
    for file in source.get("items") or ():
        errors += _validate_downward_file(file, path)
    return errors


def _validate_csi(source: JsonObject, path: str) -> list[FieldError]:
    secret = source.get("nodePublishSecretRef")
    if secret is not None and not secret.get("name"):
        return [required(f"{path}.nodePublishSecretRef.name")]
    return []


def _validate_image(source: JsonObject, path: str) -> list[FieldError]:
    policy = source.get("pullPolicy")
    return check_choice(policy, f"{path}.pullPolicy", _PULL) if policy else []


def _check_mode(mode: JsonValue, path: str) -> list[FieldError]:
    if mode is not None and not 0 <= mode <= 0o777:
        return [invalid_value(path, mode, _MODE_TEXT)]
    return []


def _validate_items(source: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, item in enumerate(source.get("items") or ()):
        where = f"{path}.items[{index}]"
        if not item.get("key"):
            errors.append(required(f"{where}.key"))
        if not item.get("path"):
            errors.append(required(f"{where}.path"))
        errors += check_volume_file_path(item.get("path", ""), f"{where}.path")
        errors += _check_mode(item.get("mode"), f"{where}.mode")
    return errors


def _validate_downward_file(file: JsonObject, path: str) -> list[FieldError]:
    errors = [] if file.get("path") else [required(f"{path}.path")]
    errors += check_volume_file_path(file.get("path", ""), f"{path}.path")
    if file.get("fieldRef") is not None:
        errors += validate_field_ref(file["fieldRef"], f"{path}.fieldRef", VOLUME_FIELDS)
        if file.get("resourceFieldRef") is not None:
            detail = "fieldRef and resourceFieldRef can not be specified simultaneously"
            errors.append(invalid_value(path, "resource", detail))
    elif file.get("resourceFieldRef") is not None:
        errors += validate_resource_ref(file["resourceFieldRef"], f"{path}.resourceFieldRef", in_volume=True)
    else:
        errors.append(required(path, "one of fieldRef and resourceFieldRef is required"))
    return errors + _check_mode(file.get("mode"), f"{path}.mode")


_PROJECTIONS: Final = ("secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle")


def _validate_projected(source: JsonObject, path: str) -> list[FieldError]:
    errors = _check_mode(source.get("defaultMode"), f"{path}.defaultMode")
    paths: set[str] = set()
    for index, projection in enumerate(source.get("sources") or ()):
        where = f"{path}.sources[{index}]"
        found = [field for field in _PROJECTIONS if projection.get(field) is not None]
        for field in found:
            one, at = projection[field], f"{where}.{field}"
            errors += _validate_projection(field, one, at)
            for file in _paths_of(one):
                if file in paths:
                    errors.append(
                        invalid_value(path, one.get("name", ""), f"conflicting duplicate paths {file}")
                    )
                paths.add(file)
        if len(found) > 1:
            errors.append(forbidden_field(where, "may not specify more than 1 volume type"))
    return errors


def _paths_of(projection: JsonObject) -> list[str]:
    files = [one.get("path") for one in projection.get("items") or ()]
    return [path for path in (*files, projection.get("path")) if path]


def _validate_projection(field: str, source: JsonObject, path: str) -> list[FieldError]:
    match field:
        case "secret" | "configMap":
            errors = [] if source.get("name") else [required(f"{path}.name")]
            return errors + _validate_items(source, path)
        case "downwardAPI":
            return [
                error for file in source.get("items") or () for error in _validate_downward_file(file, path)
            ]
        case "serviceAccountToken":
            return _validate_token(source, path)
    errors = [] if source.get("path") else [required(f"{path}.path")]
    if bool(source.get("name")) == bool(source.get("signerName")):
        detail = "either name or signerName must be specified"
        errors.append(
            required(path, detail) if not source.get("name") else invalid_value(path, source, detail)
        )
    return errors


def _validate_token(source: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seconds = source.get("expirationSeconds", _LEAST_TOKEN_S)
    where = f"{path}.expirationSeconds"
    if seconds < _LEAST_TOKEN_S:
        errors.append(invalid_value(where, seconds, "may not specify a duration less than 10 minutes"))
    if seconds > _MOST_TOKEN_S:
        errors.append(invalid_value(where, seconds, "may not specify a duration larger than 2^32 seconds"))
    target = source.get("path", "")
    return errors + (check_volume_file_path(target, f"{path}.path") if target else [required(f"{path}.path")])


def _validate_ephemeral(source: JsonObject, path: str) -> list[FieldError]:
    from k3py.api.validation.claim import validate_claim_spec  # noqa: PLC0415 - rarely needed

    template = source.get("volumeClaimTemplate")
    if template is None:
        return [required(f"{path}.volumeClaimTemplate")]
    return validate_claim_spec(template.get("spec") or {}, f"{path}.volumeClaimTemplate.spec")


_CHECKS: Final[Mapping[str, Callable[[JsonObject, str], list[FieldError]]]] = {
    "emptyDir": _validate_empty_dir,
    "hostPath": _validate_host_path,
    "gitRepo": _validate_git_repo,
    "nfs": _validate_nfs,
    "secret": _validate_files,
    "configMap": _validate_files,
    "downwardAPI": _validate_downward,
    "projected": _validate_projected,
    "csi": _validate_csi,
    "ephemeral": _validate_ephemeral,
    "image": _validate_image,
}

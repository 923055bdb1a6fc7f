"""Persistent volumes. Source: kubernetes/pkg/apis/core/validation/validation.go ValidatePersistentVolumeSpec v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import forbidden_field, invalid_value, not_supported, required
from k3py.api.names import find_subdomain_faults
from k3py.api.validation.affinity import validate_node_selector
from k3py.api.validation.claim import VOLUME_MODES, check_access_modes
from k3py.api.validation.resources import amount_of
from k3py.api.validation.scalar import NOT_POSITIVE, check_known, check_no_backsteps, check_text

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

# In the order in which they are looked at, with what each must have.
_REQUIRED: Final = {
    "hostPath": ("path",),
    "gcePersistentDisk": ("pdName",),
    "awsElasticBlockStore": ("volumeID",),
    "glusterfs": ("endpoints", "path"),
    "flocker": (),
    "nfs": ("server", "path"),
    "rbd": ("monitors", "image"),
    "quobyte": ("registry", "volume"),
    "cephfs": ("monitors",),
    "iscsi": ("targetPortal", "iqn"),
    "cinder": ("volumeID",),
    "fc": (),
    "flexVolume": ("driver",),
    "azureFile": ("secretName", "shareName"),
    "vsphereVolume": ("volumePath",),
    "photonPersistentDisk": ("pdID",),
    "portworxVolume": ("volumeID",),
    "azureDisk": ("diskName", "diskURI"),
    "scaleIO": ("gateway", "system", "volumeName"),
    "local": ("path",),
    "storageos": (),
    "csi": ("driver", "volumeHandle"),
}
_POLICIES: Final = ("Delete", "Recycle", "Retain")


def sources_of(spec: JsonObject) -> JsonObject:
    """Return the parts of a volume's spec that say where its data is."""
    return {field: spec[field] for field in _REQUIRED if spec.get(field) is not None}


def validate_persistent_volume(spec: JsonObject) -> list[FieldError]:
    """Check the spec of a PersistentVolume."""
    errors = check_access_modes(spec.get("accessModes"), "spec.accessModes")
    errors += _validate_capacity(spec.get("capacity") or {}, "spec.capacity")
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy:
        errors += check_known(policy, "spec.persistentVolumeReclaimPolicy", _POLICIES)
    affinity = spec.get("nodeAffinity")
    if affinity is not None:
        path = "spec.nodeAffinity.required"
        if affinity.get("required") is None:
            errors.append(required(path, "must specify required node constraints"))
        else:
            errors += validate_node_selector(affinity["required"], path)
    errors += _validate_sources(spec)
    if spec.get("storageClassName"):
        errors += check_text(spec["storageClassName"], "spec.storageClassName", find_subdomain_faults)
    if spec.get("volumeMode") is not None:
        errors += check_known(spec["volumeMode"], "spec.volumeMode", VOLUME_MODES)
    name = spec.get("volumeAttributesClassName")
    if name is not None:
        path = "spec.volumeAttributesClassName"
        errors += check_text(name, path, find_subdomain_faults) if name else [required(path)]
        if spec.get("csi") is None:
            errors.append(required("spec.csi", "has to be specified when using volumeAttributesClassName"))
    return errors


def _validate_capacity(capacity: JsonObject, path: str) -> list[FieldError]:
    errors = [] if capacity else [required(path)]
    if set(capacity) != {"storage"}:
        errors.append(not_supported(path, capacity, ("storage",)))
    errors += [
        invalid_value(f"{path}[{name}]", amount, NOT_POSITIVE)
        for name, amount in capacity.items()
        if amount_of(amount) <= 0
    ]
    return errors


def _validate_sources(spec: JsonObject) -> list[FieldError]:
    found = list(sources_of(spec))
    if not found:
        return [required("spec", "must specify a volume type")]
    field = found[0]
    source, where = spec[field], f"spec.{field}"
    errors = [required(f"{where}.{key}") for key in _REQUIRED[field] if not source.get(key)]
    if field in ("hostPath", "local"):
        errors += check_no_backsteps(source.get("path", ""), f"{where}.path")
    if field == "nfs" and source.get("path") and not source["path"].startswith("/"):
        errors.append(invalid_value(f"{where}.path", source["path"], "must be an absolute path"))
    if field == "local" and spec.get("nodeAffinity") is None:
        errors.append(required("spec.nodeAffinity", "Local volume requires node affinity"))
    is_root = field == "hostPath" and source.get("path", "").strip("/") == ""
    if is_root and source.get("path") and spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        detail = "may not be 'recycle' for a hostPath mount of '/'"
        errors.append(forbidden_field("spec.persistentVolumeReclaimPolicy", detail))
    detail = "may not specify more than 1 volume type"
    return errors + [forbidden_field(f"spec.{other}", detail) for other in found[1:]]

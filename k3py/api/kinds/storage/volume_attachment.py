"""A volume that a driver is to attach to a node."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from k3py.api.columns import AGE, NAME, field_column, value_at
from k3py.api.fielderror import forbidden_field, invalid_value, required
from k3py.api.kind import Column, Kind, StoragePolicy, Subresource
from k3py.api.names import find_subdomain_faults
from k3py.api.strategy import StatusStrategy
from k3py.api.validation.scalar import IMMUTABLE, check_text

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class VolumeAttachmentStrategy(StatusStrategy):
    """Source: kubernetes/pkg/registry/storage/volumeattachment/strategy.go v1.35."""

    unconditional_update = False
    object_on_delete = True
    status_keeps = ("labels", "annotations", "finalizers", "ownerReferences")
    empty_status: ClassVar[JsonObject] = {"attached": False}

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check who attaches what to which node."""
        spec = obj.get("spec") or {}
        attacher = spec.get("attacher", "")
        errors = (
            check_text(attacher.lower(), "spec.attacher", find_subdomain_faults)
            if attacher
            else [required("spec.attacher")]
        )
        errors += check_text(spec.get("nodeName", ""), "spec.nodeName", find_subdomain_faults)
        source = spec.get("source") or {}
        name, inline = source.get("persistentVolumeName"), source.get("inlineVolumeSpec")
        if name is None and inline is None:
            errors.append(
                required(
                    "spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
                )
            )
        elif name is not None and inline is not None:
            detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
            errors.append(forbidden_field("spec.source", detail))
        elif name == "":
            errors.append(
                required("spec.source.persistentVolumeName", "must specify non empty persistentVolumeName")
            )
        return errors

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """The spec stays."""
        errors = self.validate(new)
        if new.get("spec") != old.get("spec"):
            errors.append(invalid_value("spec", new.get("spec"), IMMUTABLE))
        return errors


KIND: Final = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="VolumeAttachment",
    plural="volumeattachments",
    namespaced=False,
    schema="io.k8s.api.storage.v1.VolumeAttachment",
    strategy=VolumeAttachmentStrategy(),
    subresources=(Subresource(name="status", verbs=("get", "patch", "update")),),
    columns=(
        NAME,
        Column(name="Attacher", format="name", value=lambda obj, _: value_at(obj, "spec.attacher", "")),
        field_column("PV", "spec.source.persistentVolumeName"),
        field_column("Node", "spec.nodeName"),
        field_column("Attached", "status.attached", False, kind="boolean"),
        AGE,
    ),
    storage=StoragePolicy(prefix="volumeattachments"),
    storage_version_hash="tJx/ezt6UDU=",
)

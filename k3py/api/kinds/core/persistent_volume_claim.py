"""A wish for storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, UNSET, column, field_column, value_at
from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.strategy import StatusStrategy

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

_MODES: Final = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
_CLASS: Final = "volume.beta.kubernetes.io/storage-class"


def _format_modes(modes: list[str] | None) -> str:
    return ",".join(short for mode, short in _MODES.items() if mode in (modes or ()))


def _class_of(obj: JsonObject) -> str:
    annotations = obj["metadata"].get("annotations") or {}
    return str(annotations[_CLASS] if _CLASS in annotations else value_at(obj, "spec.storageClassName", ""))


def _phase(obj: JsonObject) -> str:
    return (
        "Terminating" if obj["metadata"].get("deletionTimestamp") else str(value_at(obj, "status.phase", ""))
    )


class Strategy(StatusStrategy):
    """See the module."""

    object_on_delete = True


def _capacity(obj: JsonObject) -> str:
    return str(value_at(obj, "status.capacity.storage", "0")) if value_at(obj, "spec.volumeName") else ""


def _modes(obj: JsonObject) -> str:
    return _format_modes(value_at(obj, "status.accessModes")) if value_at(obj, "spec.volumeName") else ""


KIND: Final = Kind(
    version="v1",
    kind="PersistentVolumeClaim",
    plural="persistentvolumeclaims",
    short_names=("pvc",),
    schema="io.k8s.api.core.v1.PersistentVolumeClaim",
    strategy=Strategy(),
    subresources=(
        Subresource(
            name="status",
            verbs=(
                "get",
                "patch",
                "update",
            ),
        ),
    ),
    columns=(
        NAME,
        column("Status", _phase),
        field_column("Volume", "spec.volumeName"),
        column("Capacity", _capacity),
        column("Access Modes", _modes),
        column("StorageClass", _class_of),
        field_column("VolumeAttributesClass", "spec.volumeAttributesClassName", UNSET),
        AGE,
        field_column("VolumeMode", "spec.volumeMode", UNSET, wide=True),
    ),
    storage=StoragePolicy(prefix="persistentvolumeclaims"),
    storage_version_hash="QWTyNDq0dC4=",
)

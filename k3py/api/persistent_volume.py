"""What the tables of volumes and of claims have in common. Source: kubernetes/pkg/printers/internalversion/printers.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import value_at

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

CLASS_ANNOTATION: Final = "volume.beta.kubernetes.io/storage-class"
_MODES: Final = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def format_modes(modes: list[str] | None) -> str:
    """Return access modes in short, in upstream's order."""
    return ",".join(short for mode, short in _MODES.items() if mode in (modes or ()))


def class_of(obj: JsonObject) -> str:
    """Return the storage class; the old annotation counts before the field."""
    annotations = obj["metadata"].get("annotations") or {}
    if CLASS_ANNOTATION in annotations:
        return str(annotations[CLASS_ANNOTATION])
    return str(value_at(obj, "spec.storageClassName", ""))


def phase_of(obj: JsonObject) -> str:
    """Return the phase, "Terminating" for what is being deleted."""
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return str(value_at(obj, "status.phase", ""))

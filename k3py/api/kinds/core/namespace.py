"""Namespaces: they always carry the finalizer "kubernetes" and their own name as a label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, column
from k3py.api.fielderror import invalid_value
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy, Subresource
from k3py.api.names import find_label_faults, find_qualified_name_faults

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class NamespaceStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/core/namespace/strategy.go v1.35."""

    has_status = True
    object_on_delete = True

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """A new namespace is Active; its finalizer and label are forced."""
        super().prepare_create(obj, context)
        obj["status"] = {"phase": "Active"}
        finalizers = (obj.get("spec") or {}).get("finalizers") or []
        if "kubernetes" not in finalizers:
            finalizers = [*finalizers, "kubernetes"]
        obj["spec"] = {**(obj.get("spec") or {}), "finalizers": finalizers}
        _label(obj)

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """Finalizers change through the subresource finalize only."""
        super().prepare_update(new, old, context)
        new["spec"] = {
            **(new.get("spec") or {}),
            "finalizers": (old.get("spec") or {}).get("finalizers") or [],
        }
        _label(new)

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Finalizers have qualified names."""
        return [
            invalid_value("spec.finalizers", name, fault)
            for name in (obj.get("spec") or {}).get("finalizers") or ()
            for fault in _find_finalizer_faults(name)
        ]

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Nothing but metadata may change, which is checked for all kinds alike."""
        return []

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """The phase says whether the namespace is being deleted."""
        phase = (new.get("status") or {}).get("phase", "")
        if old["metadata"].get("deletionTimestamp"):
            if phase != "Terminating":
                detail = "may only be 'Terminating' if `deletionTimestamp` is not empty"
                return [invalid_value("status.Phase", phase, detail)]
        elif phase != "Active":
            return [
                invalid_value("status.Phase", phase, "may only be 'Active' if `deletionTimestamp` is empty")
            ]
        return []

    def validate_name(self, name: str) -> list[str]:
        """A DNS label."""
        return find_label_faults(name)


def _find_finalizer_faults(name: str) -> list[str]:
    faults = find_qualified_name_faults(name)
    if not faults and "/" not in name and name != "kubernetes":
        faults.append("name is neither a standard finalizer name nor is it fully qualified")
    return faults


def _label(obj: JsonObject) -> None:
    metadata = obj["metadata"]
    if metadata.get("name"):
        metadata["labels"] = {
            **(metadata.get("labels") or {}),
            "kubernetes.io/metadata.name": metadata["name"],
        }


KIND: Final = Kind(
    version="v1",
    kind="Namespace",
    plural="namespaces",
    singular="namespace",
    list_kind="NamespaceList",
    short_names=("ns",),
    namespaced=False,
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    schema="io.k8s.api.core.v1.Namespace",
    subresources=(
        Subresource(name="finalize", verbs=("update",)),
        Subresource(name="status", verbs=("get", "patch", "update")),
    ),
    strategy=NamespaceStrategy(),
    columns=(
        NAME,
        column("Status", lambda obj: (obj.get("status") or {}).get("phase", "")),
        AGE,
    ),
    selectable_fields={
        "status.phase": lambda obj: str((obj.get("status") or {}).get("phase", "")),
    },
    storage=StoragePolicy(prefix="namespaces"),
    storage_version_hash="Q3oi5N2YM8M=",
)

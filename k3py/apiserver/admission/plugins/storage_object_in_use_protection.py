"""Volumes, claims and classes of attributes get the finalizer that keeps them as long as they are used.

Source: kubernetes/plugin/pkg/admission/storage/storageobjectinuseprotection v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.apiserver.admission.plugins.base import BasePlugin

if TYPE_CHECKING:
    from k3py.apiserver.interface import AdmissionRequest

_FINALIZERS: Final = {
    ("", "persistentvolumeclaims"): "kubernetes.io/pvc-protection",
    ("", "persistentvolumes"): "kubernetes.io/pv-protection",
    ("storage.k8s.io", "volumeattributesclasses"): "kubernetes.io/vac-protection",
}


class StorageObjectInUseProtection(BasePlugin):
    """See the module."""

    name = "StorageObjectInUseProtection"

    def handles(self, request: AdmissionRequest) -> bool:
        """See creates of the three kinds."""
        kind = request.kind
        return (
            request.operation == "CREATE"
            and not request.subresource
            and (kind.group, kind.plural) in _FINALIZERS
        )

    async def admit(self, request: AdmissionRequest) -> None:
        """Add the finalizer."""
        if request.obj is None:
            return
        finalizer = _FINALIZERS[request.kind.group, request.kind.plural]
        metadata = request.obj["metadata"]
        present = metadata.get("finalizers") or []
        if finalizer not in present:
            metadata["finalizers"] = [*present, finalizer]

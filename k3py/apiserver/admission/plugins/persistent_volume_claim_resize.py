"""Only bound claims grow, and only when their class allows it.

Source: kubernetes/plugin/pkg/admission/storage/persistentvolume/resize v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.persistent_volume import class_of
from k3py.api.quantity import parse_quantity
from k3py.apiserver.admission.plugins.base import BasePlugin, is_for, refuse
from k3py.apiserver.admission.plugins.default_class import STORAGE_CLASSES

if TYPE_CHECKING:
    from decimal import Decimal

    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.interface import AdmissionRequest
    from k3py.jsontypes import JsonObject


class PersistentVolumeClaimResize(BasePlugin):
    """See the module."""

    name = "PersistentVolumeClaimResize"

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def handles(self, request: AdmissionRequest) -> bool:
        """See updates of claims."""
        return is_for(request, "", "persistentvolumeclaims", ("UPDATE",))

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse with 403."""
        new, old = request.obj or {}, request.old or {}
        if _size_of(new) <= _size_of(old):
            return
        if (old.get("status") or {}).get("phase") != "Bound":
            raise refuse(request, "Only bound persistent volume claims can be expanded")
        names = {class_of(new), class_of(old)}
        name = names.pop()
        found = await self._lookup.find(STORAGE_CLASSES, "", name) if name and not names else None
        if found is None or not found.get("allowVolumeExpansion"):
            raise refuse(
                request,
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
                "support resize",
            )


def _size_of(claim: JsonObject) -> Decimal:
    resources = (claim.get("spec") or {}).get("resources") or {}
    return parse_quantity(str((resources.get("requests") or {}).get("storage", 0)))

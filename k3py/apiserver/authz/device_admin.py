"""Access to devices that others use is asked for only in namespaces that an administrator has marked.

Source: kubernetes/pkg/registry/resource/{resourceclaim,resourceclaimtemplate}/strategy.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import forbidden_field
from k3py.api.resource import NAMESPACES
from k3py.api.status import invalid

if TYPE_CHECKING:
    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.registry.call import Call
    from k3py.jsontypes import JsonObject

_LABEL: Final = "resource.kubernetes.io/admin-access"


class DeviceAdminGuard:
    """Looks at new ResourceClaims and templates; their specs do not change later."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def check(self, call: Call, new: JsonObject, old: JsonObject | None) -> None:
        """Refuse `adminAccess` where the namespace has not the label. Raises ApiError 422."""
        if old is not None:
            return
        spec, path = new.get("spec") or {}, "spec"
        if call.kind.kind == "ResourceClaimTemplate":
            spec, path = spec.get("spec") or {}, "spec.spec"
        asking = [
            f"{path}.devices.requests[{index}].exactly.adminAccess"
            for index, request in enumerate((spec.get("devices") or {}).get("requests") or ())
            if (request.get("exactly") or {}).get("adminAccess")
        ]
        if not asking or await self._is_marked(call.namespace):
            return
        detail = f"admin access to devices requires the `{_LABEL}: true` label on the containing namespace"
        faults = [forbidden_field(field, detail) for field in asking]
        raise invalid(call.kind.group, call.kind.kind, new["metadata"].get("name") or "", faults)

    async def _is_marked(self, namespace: str) -> bool:
        found = await self._lookup.find(NAMESPACES, "", namespace)
        labels = (found or {}).get("metadata", {}).get("labels") or {}
        return bool(labels.get(_LABEL) == "true")

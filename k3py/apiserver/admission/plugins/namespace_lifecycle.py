"""Nothing is created in a namespace that does not exist or is ending; three namespaces cannot be deleted.

Source: k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.resource import NAMESPACES
from k3py.api.status import ApiError, not_found
from k3py.apiserver.admission.plugins.base import BasePlugin, refuse

if TYPE_CHECKING:
    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.interface import AdmissionRequest

_IMMORTAL: Final = frozenset(("default", "kube-system", "kube-public"))
_EXEMPT: Final = frozenset(
    (("authorization.k8s.io", "localsubjectaccessreviews"),)
)  # must work while a namespace ends, too


class NamespaceLifecycle(BasePlugin):
    """See the module."""

    name = "NamespaceLifecycle"

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def handles(self, request: AdmissionRequest) -> bool:
        """See creates in namespaces and deletes of namespaces."""
        kind = request.kind
        if (kind.group, kind.plural) == ("", "namespaces"):
            return request.operation == "DELETE"
        return bool(request.namespace) and request.operation == "CREATE" and kind.namespaced

    async def admit(self, request: AdmissionRequest) -> None:
        """Refuse with 403 or 404."""
        if request.operation == "DELETE":
            if request.name in _IMMORTAL:
                raise refuse(request, "this namespace may not be deleted")
            return
        if (request.kind.group, request.kind.plural) in _EXEMPT:
            return
        namespace = await self._lookup.find(NAMESPACES, "", request.namespace)
        if namespace is None:
            raise not_found("", "namespaces", request.namespace)
        ending = (namespace.get("status") or {}).get("phase") == "Terminating"
        if ending or "deletionTimestamp" in namespace["metadata"]:
            error = refuse(
                request,
                f"unable to create new content in namespace {request.namespace} because it is being terminated",
            )
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {request.namespace} is being terminated",
                "field": "metadata.namespace",
            }
            details = {**(error.details or {}), "causes": [cause]}
            raise ApiError(error.code, error.reason, error.message, details=details)

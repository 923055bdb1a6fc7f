"""Claims and ingresses that name no class get the default one.

Source: kubernetes/plugin/pkg/admission/{storage/storageclass/setdefault,network/defaultingressclass} v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.persistent_volume import CLASS_ANNOTATION
from k3py.api.resource import Resource
from k3py.apiserver.admission.plugins.base import BasePlugin, is_for

if TYPE_CHECKING:
    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.interface import AdmissionRequest

STORAGE_CLASSES: Final = Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)
_INGRESS_CLASSES: Final = Resource(
    "networking.k8s.io", "v1", "ingressclasses", "IngressClass", namespaced=False
)
_STORAGE_DEFAULT: Final = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
_INGRESS_DEFAULT: Final = ("ingressclass.kubernetes.io/is-default-class",)
_INGRESS_ANNOTATION: Final = "kubernetes.io/ingress.class"


async def _find_default(lookup: Lookup, resource: Resource, marks: tuple[str, ...]) -> str | None:
    """Return the name of the newest class that is marked as the default, the first by name among equals."""
    found = [
        one["metadata"]
        for one in await lookup.list(resource)
        if any((one["metadata"].get("annotations") or {}).get(mark) == "true" for mark in marks)
    ]
    found.sort(key=lambda one: str(one["name"]))
    found.sort(key=lambda one: str(one.get("creationTimestamp", "")), reverse=True)
    return str(found[0]["name"]) if found else None


class DefaultStorageClass(BasePlugin):
    """See the module."""

    name = "DefaultStorageClass"

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def handles(self, request: AdmissionRequest) -> bool:
        """See creates of claims."""
        return is_for(request, "", "persistentvolumeclaims", ("CREATE",))

    async def admit(self, request: AdmissionRequest) -> None:
        """Fill in spec.storageClassName; "" means none, on purpose."""
        obj = request.obj or {}
        spec = obj.setdefault("spec", {})
        named = spec.get("storageClassName") is not None
        if named or CLASS_ANNOTATION in (obj["metadata"].get("annotations") or {}):
            return
        default = await _find_default(self._lookup, STORAGE_CLASSES, _STORAGE_DEFAULT)
        if default is not None:
            spec["storageClassName"] = default


class DefaultIngressClass(BasePlugin):
    """See the module."""

    name = "DefaultIngressClass"

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def handles(self, request: AdmissionRequest) -> bool:
        """See creates of ingresses."""
        return is_for(request, "networking.k8s.io", "ingresses", ("CREATE",))

    async def admit(self, request: AdmissionRequest) -> None:
        """Fill in spec.ingressClassName."""
        obj = request.obj or {}
        spec = obj.setdefault("spec", {})
        annotations = obj["metadata"].get("annotations") or {}
        if spec.get("ingressClassName") is not None or annotations.get(_INGRESS_ANNOTATION):
            return
        default = await _find_default(self._lookup, _INGRESS_CLASSES, _INGRESS_DEFAULT)
        if default is not None:
            spec["ingressClassName"] = default

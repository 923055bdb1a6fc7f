"""A pod's runtime class must exist and decides its overhead and where it runs.

Source: kubernetes/plugin/pkg/admission/runtimeclass v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.object import deep_copy
from k3py.api.resource import Resource
from k3py.apiserver.admission.plugins.base import BasePlugin, is_for, refuse

if TYPE_CHECKING:
    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.interface import AdmissionRequest
    from k3py.jsontypes import JsonObject

RUNTIME_CLASSES: Final = Resource("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", namespaced=False)


class RuntimeClassAdmission(BasePlugin):
    """See the module."""

    name = "RuntimeClass"

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def handles(self, request: AdmissionRequest) -> bool:
        """See creates of pods."""
        return is_for(request, "", "pods", ("CREATE",))

    async def admit(self, request: AdmissionRequest) -> None:
        """Take overhead, node selector and tolerations over from the class."""
        spec = (request.obj or {}).get("spec") or {}
        found = await self._find(request, spec)
        if spec.get("overhead") == {}:  # it is dropped before validation, which says the same
            _check_overhead(request, spec["overhead"], found)
        if found is None:
            return
        fixed = (found.get("overhead") or {}).get("podFixed")
        if fixed is not None:
            if spec.get("overhead") is not None and spec["overhead"] != fixed:
                raise refuse(
                    request, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
                )
            spec["overhead"] = deep_copy(fixed)
        scheduling = found.get("scheduling") or {}
        selector = dict(spec.get("nodeSelector") or {})
        for key, value in (scheduling.get("nodeSelector") or {}).items():
            if selector.setdefault(key, value) != value:
                raise refuse(
                    request,
                    f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {selector[key]}",
                )
        if selector:
            spec["nodeSelector"] = selector
        tolerations = list(spec.get("tolerations") or ())
        tolerations += [one for one in scheduling.get("tolerations") or () if one not in tolerations]
        if tolerations:
            spec["tolerations"] = tolerations

    async def validate(self, request: AdmissionRequest) -> None:
        """Overhead without a class that says so is refused."""
        spec = (request.obj or {}).get("spec") or {}
        if spec.get("overhead") is None:
            return
        _check_overhead(request, spec["overhead"], await self._find(request, spec))

    async def _find(self, request: AdmissionRequest, spec: JsonObject) -> JsonObject | None:
        name = spec.get("runtimeClassName")
        if not name:
            return None
        found = await self._lookup.find(RUNTIME_CLASSES, "", name)
        if found is None:
            raise refuse(request, f'pod rejected: RuntimeClass "{name}" not found')
        return found


def _check_overhead(request: AdmissionRequest, overhead: JsonObject, found: JsonObject | None) -> None:
    if found is None or (found.get("overhead") or {}).get("podFixed") != overhead:
        raise refuse(
            request, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
        )

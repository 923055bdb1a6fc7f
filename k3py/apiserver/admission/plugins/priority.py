"""Turns a pod's priority class into its priority; only one class may be the default.

Source: kubernetes/plugin/pkg/admission/priority v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.resource import Resource
from k3py.apiserver.admission.plugins.base import BasePlugin, is_for, refuse

if TYPE_CHECKING:
    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.interface import AdmissionRequest
    from k3py.jsontypes import JsonObject

PRIORITY_CLASSES: Final = Resource(
    "scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", namespaced=False
)
_SYSTEM_PREFIX: Final = "system-"
_PREEMPT: Final = "PreemptLowerPriority"


class Priority(BasePlugin):
    """See the module."""

    name = "Priority"

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def handles(self, request: AdmissionRequest) -> bool:
        """See creates of pods, and writes of priority classes."""
        return is_for(request, "", "pods", ("CREATE",)) or is_for(
            request, "scheduling.k8s.io", "priorityclasses", ("CREATE", "UPDATE", "DELETE")
        )

    async def admit(self, request: AdmissionRequest) -> None:
        """Set priority, class name and preemption policy of a pod."""
        if request.kind.plural != "pods" or request.obj is None:
            return
        spec = request.obj.setdefault("spec", {})
        name = spec.get("priorityClassName", "")
        found = await self._find_class(request, name)
        value = int(found["value"]) if found is not None else 0
        policy = found.get("preemptionPolicy", _PREEMPT) if found is not None else _PREEMPT
        if found is not None and not name:
            spec["priorityClassName"] = found["metadata"]["name"]
        if spec.get("priority") is not None and spec["priority"] != value:
            raise refuse(
                request,
                f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; priority "
                "admission controller computed "
                f"{value} from the given PriorityClass name",
            )
        if spec.get("preemptionPolicy") and spec["preemptionPolicy"] != policy:
            raise refuse(
                request,
                f"the string value of PreemptionPolicy ({spec['preemptionPolicy']}) must not be provided in pod spec; "
                f"priority admission controller computed {policy} from the given PriorityClass name",
            )
        spec["priority"], spec["preemptionPolicy"] = value, policy

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse a second default class."""
        if request.operation == "DELETE":
            if request.name.startswith(_SYSTEM_PREFIX):
                raise refuse(request, "this is a system priority class and cannot be deleted")
            return
        obj = request.obj or {}
        if request.kind.plural != "priorityclasses" or not obj.get("globalDefault"):
            return
        default = await self._find_default()
        if default is not None and default["metadata"]["name"] != obj["metadata"]["name"]:
            raise refuse(
                request,
                f"PriorityClass {default['metadata']['name']} is already marked as default. Only one default can exist",
            )

    async def _find_class(self, request: AdmissionRequest, name: str) -> JsonObject | None:
        if not name:
            return await self._find_default()
        found = await self._lookup.find(PRIORITY_CLASSES, "", name)
        if found is None:
            raise refuse(request, f"no PriorityClass with name {name} was found")
        return found

    async def _find_default(self) -> JsonObject | None:
        defaults = [one for one in await self._lookup.list(PRIORITY_CLASSES) if one.get("globalDefault")]
        return min(defaults, key=lambda one: int(one["value"]), default=None)

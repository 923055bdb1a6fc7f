"""A new node is not ready until its conditions say so. Source: kubernetes/plugin/pkg/admission/nodetaint v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.apiserver.admission.plugins.base import BasePlugin, is_for

if TYPE_CHECKING:
    from k3py.apiserver.interface import AdmissionRequest

_TAINT: Final = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


class TaintNodesByCondition(BasePlugin):
    """See the module."""

    name = "TaintNodesByCondition"

    def handles(self, request: AdmissionRequest) -> bool:
        """See creates of nodes."""
        return is_for(request, "", "nodes", ("CREATE",))

    async def admit(self, request: AdmissionRequest) -> None:
        """Add the taint when it is not there."""
        if request.obj is None:
            return
        spec = request.obj.setdefault("spec", {})
        taints = spec.get("taints") or []
        if not any(
            (one.get("key"), one.get("effect")) == (_TAINT["key"], _TAINT["effect"]) for one in taints
        ):
            spec["taints"] = [*taints, dict(_TAINT)]

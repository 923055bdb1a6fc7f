"""Pods stay five minutes on a node that is not ready or unreachable. Source: kubernetes/plugin/pkg/admission/defaulttolerationseconds v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.apiserver.admission.plugins.base import BasePlugin, is_for

if TYPE_CHECKING:
    from k3py.apiserver.interface import AdmissionRequest

_KEYS: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_SECONDS: Final = 300


class DefaultTolerationSeconds(BasePlugin):
    """See the module."""

    name = "DefaultTolerationSeconds"

    def handles(self, request: AdmissionRequest) -> bool:
        """See writes of pods."""
        return is_for(request, "", "pods", ("CREATE", "UPDATE"))

    async def admit(self, request: AdmissionRequest) -> None:
        """Add what the pod's tolerations do not cover."""
        if request.obj is None:
            return
        spec = request.obj.setdefault("spec", {})
        tolerations = spec.get("tolerations") or []
        added = [
            {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _SECONDS}
            for key in _KEYS
            if not any(
                one.get("key") in (key, "", None) and one.get("effect") in ("NoExecute", "", None)
                for one in tolerations
            )
        ]
        if added:
            spec["tolerations"] = [*tolerations, *added]

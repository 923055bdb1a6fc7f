"""Pods that ask for devices may run on nodes that are kept for such pods; off by default.

Source: kubernetes/plugin/pkg/admission/extendedresourcetoleration v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.validation.resources import is_extended
from k3py.apiserver.admission.plugins.base import BasePlugin, is_for

if TYPE_CHECKING:
    from k3py.apiserver.interface import AdmissionRequest


class ExtendedResourceToleration(BasePlugin):
    """See the module."""

    name = "ExtendedResourceToleration"

    def handles(self, request: AdmissionRequest) -> bool:
        """See writes of pods."""
        return is_for(request, "", "pods", ("CREATE", "UPDATE"))

    async def admit(self, request: AdmissionRequest) -> None:
        """Add a toleration for each extended resource that the containers ask for."""
        spec = (request.obj or {}).get("spec") or {}
        asked = {
            name
            for sort in ("containers", "initContainers")
            for one in spec.get(sort) or ()
            for name in (one.get("resources") or {}).get("requests") or ()
            if is_extended(name)
        }
        tolerations = spec.get("tolerations") or []
        added = [{"key": name, "operator": "Exists"} for name in sorted(asked)]
        if missing := [one for one in added if one not in tolerations]:
            spec["tolerations"] = [*tolerations, *missing]

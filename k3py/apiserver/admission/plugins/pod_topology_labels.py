"""Copies a node's zone and region labels to a pod that is placed on it.

Source: kubernetes/plugin/pkg/admission/podtopologylabels v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.resource import NODES
from k3py.apiserver.admission.plugins.base import BasePlugin

if TYPE_CHECKING:
    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.interface import AdmissionRequest

_LABELS: Final = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


class PodTopologyLabels(BasePlugin):
    """See the module."""

    name = "PodTopologyLabels"

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def handles(self, request: AdmissionRequest) -> bool:
        """See bindings, and creates of pods that name their node."""
        return (
            (request.kind.group, request.kind.plural) == ("", "pods")
            and request.operation == "CREATE"
            and request.subresource in ("", "binding")
        )

    async def admit(self, request: AdmissionRequest) -> None:
        """Add the labels to the pod, or to the binding, which hands them on."""
        obj = request.obj or {}
        if request.subresource == "binding":
            name = (obj.get("target") or {}).get("name", "")
        else:
            name = (obj.get("spec") or {}).get("nodeName", "")
        node = await self._lookup.find(NODES, "", name) if name else None
        if node is None:
            return
        labels = node["metadata"].get("labels") or {}
        found = {key: labels[key] for key in _LABELS if key in labels}
        if found:
            metadata = obj.setdefault("metadata", {})
            metadata["labels"] = {**(metadata.get("labels") or {}), **found}

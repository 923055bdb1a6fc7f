"""What happens to pod specs, of pods and of templates alike, before they are stored: fields of features that are off go.

Source: kubernetes/pkg/api/pod/util.go DropDisabledPodFields v1.35 (feature gates at their defaults).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

_CONTAINERS: Final = ("initContainers", "containers", "ephemeralContainers")


def drop_gated_fields(spec: JsonObject) -> None:
    """Remove fields that belong to features which are off."""
    spec.pop("workloadRef", None)
    for field in _CONTAINERS:
        for container in spec.get(field) or ():
            lifecycle = container.get("lifecycle")
            if lifecycle and lifecycle.pop("stopSignal", None) and not lifecycle:
                del container["lifecycle"]
    for volume in spec.get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            source.pop("clusterTrustBundle", None)
            source.pop("podCertificate", None)


def drop_gated_template_fields(obj: JsonObject) -> None:
    """Do so for the template of a workload."""
    spec = ((obj.get("spec") or {}).get("template") or {}).get("spec")
    if spec:
        drop_gated_fields(spec)

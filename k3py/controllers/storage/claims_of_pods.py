"""Which claims a pod uses. Source: k8s.io/component-helpers/storage/ephemeral v0.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from k3py.jsontypes import JsonObject

USED_CLAIM_INDEX: Final = "used-claim"


def ephemeral_claim_name(pod: JsonObject, volume: JsonObject) -> str:
    """Return the name of the claim that is made for an ephemeral volume."""
    return f"{pod['metadata']['name']}-{volume['name']}"


def claim_names_of(pod: JsonObject) -> Iterator[str]:
    """Return the names of the claims that the pod mounts."""
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        if volume.get("persistentVolumeClaim"):
            yield str(volume["persistentVolumeClaim"]["claimName"])
        elif volume.get("ephemeral"):
            yield ephemeral_claim_name(pod, volume)


def index_by_claim(pod: JsonObject) -> Sequence[str]:
    """Index function for USED_CLAIM_INDEX: claims of pods that have a node; ended ones count until they are deleted."""
    if not (pod.get("spec") or {}).get("nodeName"):
        return ()
    namespace = pod["metadata"]["namespace"]
    return [f"{namespace}/{name}" for name in claim_names_of(pod)]

"""The volume claims of pods, and what they are bound to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from k3py.api.volume_matching import class_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.client.interface import Lister
    from k3py.jsontypes import JsonObject
    from k3py.scheduler.interface import PluginContext

BIND_COMPLETED: Final = "pv.kubernetes.io/bind-completed"


class ClaimName(NamedTuple):
    """The claim of a pod's volume; `ephemeral` ones are made for the pod."""

    name: str
    ephemeral: bool


def claims_of(pod: JsonObject) -> Iterable[ClaimName]:
    """Yield the claims that a pod uses."""
    for volume in pod["spec"].get("volumes") or ():
        claim = volume.get("persistentVolumeClaim")
        if claim is not None:
            yield ClaimName(claim["claimName"], ephemeral=False)
        elif volume.get("ephemeral") is not None:
            yield ClaimName(f"{pod['metadata']['name']}-{volume['name']}", ephemeral=True)


def is_bound(claim: JsonObject) -> bool:
    """Say whether both sides of the binding are written."""
    return bool(claim["spec"].get("volumeName")) and BIND_COMPLETED in (
        claim["metadata"].get("annotations") or {}
    )


class Volumes:
    """Claims, volumes and classes as the informers know them."""

    def __init__(self, context: PluginContext) -> None:
        self.claims: Lister = context.lister("persistentvolumeclaims")
        self.volumes: Lister = context.lister("persistentvolumes")
        self.classes: Lister = context.lister("storageclasses")

    def find_class(self, claim: JsonObject) -> JsonObject | None:
        """Return the storage class of a claim, if there is one."""
        name = class_of(claim)
        return self.classes.find("", name) if name else None

    def is_delayed(self, claim: JsonObject) -> bool:
        """Say whether the claim waits for its first pod to have a node."""
        found = self.find_class(claim)
        return found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer"

    def volume_of(self, claim: JsonObject) -> JsonObject | None:
        """Return the volume that a claim names, if known."""
        name = claim["spec"].get("volumeName")
        return self.volumes.find("", name) if name else None

    def find_fault(self, pod: JsonObject, name: ClaimName) -> str:
        """Return what keeps any node from running a pod with this claim, "" when nothing does."""
        metadata = pod["metadata"]
        claim = self.claims.find(metadata["namespace"], name.name)
        if claim is None:
            if name.ephemeral:
                return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name.name}"'
            return f'persistentvolumeclaim "{name.name}" not found'
        if (claim.get("status") or {}).get("phase") == "Lost":
            volume = claim["spec"].get("volumeName", "")
            return f'persistentvolumeclaim "{name.name}" bound to non-existent persistentvolume "{volume}"'
        if "deletionTimestamp" in claim["metadata"]:
            return f'persistentvolumeclaim "{name.name}" is being deleted'
        owners = claim["metadata"].get("ownerReferences") or ()
        if name.ephemeral and not any(
            one.get("controller") and one["uid"] == metadata["uid"] for one in owners
        ):
            pod_name, where = (
                f"{metadata['namespace']}/{metadata['name']}",
                f"{metadata['namespace']}/{name.name}",
            )
            return f"PVC {where} was not created for pod {pod_name} (pod is not owner)"
        return ""

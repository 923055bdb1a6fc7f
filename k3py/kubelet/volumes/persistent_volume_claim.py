"""persistentVolumeClaim (and ephemeral) volumes: folders of the node (hostPath, local), and volumes of CSI drivers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from k3py.kubelet.csi.source import persistent_source
from k3py.kubelet.volumes.interface import VolumeError

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject
    from k3py.kubelet.volumes.interface import VolumeContext


async def _set_up_claim(claim: str, context: VolumeContext, *, read_only: bool = False) -> Path:
    found = await context.objects.bound_volume(claim)
    if found is None:
        raise VolumeError(f'persistentvolumeclaim "{claim}" is not bound')
    volume, claim_object = found
    spec = volume["spec"]
    if spec.get("csi") and context.csi is not None:
        return await context.csi.set_up(persistent_source(volume, claim_object, read_only=read_only), context)
    source = spec.get("hostPath") or spec.get("local")
    if source is None:
        raise VolumeError(
            f'persistentvolume "{volume["metadata"]["name"]}" is of a kind that is not supported'
        )
    path = Path(source["path"])
    if spec.get("hostPath") and source.get("type", "DirectoryOrCreate") in ("", "DirectoryOrCreate"):
        await asyncio.to_thread(path.mkdir, parents=True, exist_ok=True)
    elif not await asyncio.to_thread(path.exists):
        raise VolumeError(f"path {path} does not exist")
    return path


class PersistentVolumeClaimVolume:
    """A claim named by the pod."""

    source = "persistentVolumeClaim"

    async def set_up(self, volume: JsonObject, context: VolumeContext) -> Path:
        """Find the folder of the claim's volume."""
        source = volume["persistentVolumeClaim"]
        return await _set_up_claim(source["claimName"], context, read_only=bool(source.get("readOnly")))


class EphemeralVolume:
    """A claim that a controller makes for the pod, named <pod>-<volume>."""

    source = "ephemeral"

    async def set_up(self, volume: JsonObject, context: VolumeContext) -> Path:
        """Find the folder of the claim's volume."""
        return await _set_up_claim(f"{context.pod['metadata']['name']}-{volume['name']}", context)

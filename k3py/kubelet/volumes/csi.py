"""csi volumes that are written in a pod: they live and die with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.kubelet.csi.source import inline_source
from k3py.kubelet.volumes.interface import VolumeError

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.volumes.interface import VolumeContext


class CsiVolume:
    """A volume that a driver makes for the pod."""

    source = "csi"

    async def set_up(self, volume: JsonObject, context: VolumeContext) -> Path:
        """Let the driver publish it."""
        if context.csi is None:
            raise VolumeError(f"volume {volume['name']}: csi is not supported")
        return await context.csi.set_up(inline_source(context.pod["metadata"]["uid"], volume), context)

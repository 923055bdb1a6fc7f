"""downwardAPI volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.kubelet.volumes.payload import write_volume
from k3py.kubelet.volumes.projection import mode_of, project_downward

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.volumes.interface import VolumeContext


class DownwardApiVolume:
    """Fields of the pod as files."""

    source = "downwardAPI"

    async def set_up(self, volume: JsonObject, context: VolumeContext) -> Path:
        """Write or update the files."""
        source = volume["downwardAPI"]
        files = project_downward(source, mode_of(source), context)
        return await write_volume(
            context.path_of("downward-api", volume["name"]), files, context, in_memory=True
        )

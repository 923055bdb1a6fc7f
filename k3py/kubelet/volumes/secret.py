"""secret volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.kubelet.volumes.payload import write_volume
from k3py.kubelet.volumes.projection import mode_of, project_secret

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.volumes.interface import VolumeContext


class SecretVolume:
    """The keys of a Secret as files in memory."""

    source = "secret"

    async def set_up(self, volume: JsonObject, context: VolumeContext) -> Path:
        """Write or update the files."""
        source = volume["secret"]
        files = await project_secret(source, mode_of(source), context)
        return await write_volume(context.path_of("secret", volume["name"]), files, context, in_memory=True)

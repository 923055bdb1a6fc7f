"""configMap volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.kubelet.volumes.payload import write_volume
from k3py.kubelet.volumes.projection import mode_of, project_config_map

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.volumes.interface import VolumeContext


class ConfigMapVolume:
    """The keys of a ConfigMap as files."""

    source = "configMap"

    async def set_up(self, volume: JsonObject, context: VolumeContext) -> Path:
        """Write or update the files."""
        source = volume["configMap"]
        files = await project_config_map(source, mode_of(source), context)
        return await write_volume(
            context.path_of("configmap", volume["name"]), files, context, in_memory=False
        )

"""emptyDir volumes."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from k3py.kubelet.amounts import whole

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.volumes.interface import VolumeContext


class EmptyDirVolume:
    """A folder that lives as long as its pod, on disk or in memory."""

    source = "emptyDir"

    async def set_up(self, volume: JsonObject, context: VolumeContext) -> Path:
        """Make the folder, once."""
        path = context.path_of("empty-dir", volume["name"])
        await asyncio.to_thread(_make, path, volume["emptyDir"] or {}, context)
        return path


def _make(path: Path, source: JsonObject, context: VolumeContext) -> None:
    if path.exists():
        if source.get("medium") == "Memory":
            context.mounter.mount_tmpfs(path, size_bytes=whole(source.get("sizeLimit") or 0))
        return
    path.mkdir(parents=True)
    if source.get("medium") == "Memory":
        context.mounter.mount_tmpfs(path, size_bytes=whole(source.get("sizeLimit") or 0))
    if context.fs_group is not None:
        os.chown(path, -1, context.fs_group)
        path.chmod(0o2777)
    else:
        path.chmod(0o777)

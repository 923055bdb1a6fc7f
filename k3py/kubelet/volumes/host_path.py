"""hostPath volumes. Source: pkg/volume/hostpath/host_path.go v1.35."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.kubelet.volumes.interface import VolumeError

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject
    from k3py.kubelet.volumes.interface import VolumeContext

_CHECKS: Final = {
    "Directory": (Path.is_dir, "a directory"),
    "File": (Path.is_file, "a file"),
    "Socket": (Path.is_socket, "a socket"),
    "CharDevice": (Path.is_char_device, "a character device"),
    "BlockDevice": (Path.is_block_device, "a block device"),
}


class HostPathVolume:
    """A path of the node."""

    source = "hostPath"

    async def set_up(self, volume: JsonObject, context: VolumeContext) -> Path:
        """Check the path, or make it where the type asks for it."""
        source = volume["hostPath"]
        path = Path(source["path"])
        await asyncio.to_thread(_check, path, source.get("type") or "")
        return path


def _check(path: Path, kind: str) -> None:
    if kind == "DirectoryOrCreate":
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        kind = "Directory"
    elif kind == "FileOrCreate":
        path.touch(mode=0o644, exist_ok=True)
        kind = "File"
    if kind in _CHECKS:
        test, name = _CHECKS[kind]
        if not test(path):
            raise VolumeError(f"hostPath type check failed: {path} is not {name}")
    elif not kind and not path.exists():
        # The runtime would make the folder as well; upstream leaves it to the runtime.
        path.mkdir(mode=0o755, parents=True, exist_ok=True)

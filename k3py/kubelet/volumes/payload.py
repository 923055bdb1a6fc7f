"""What volumes made of files have in common: a folder (a tmpfs where the content is secret) and the atomic writer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from k3py.kubelet.volumes.atomic_writer import FilePayload, write_payload

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from k3py.kubelet.volumes.interface import VolumeContext


async def write_volume(
    path: Path, files: Mapping[str, FilePayload], context: VolumeContext, *, in_memory: bool
) -> Path:
    """Write the files of a volume and return its path; `in_memory`: they must not reach a disk."""
    await asyncio.to_thread(_write, path, files, context, in_memory=in_memory)
    return path


def _write(path: Path, files: Mapping[str, FilePayload], context: VolumeContext, *, in_memory: bool) -> None:
    path.mkdir(parents=True, exist_ok=True)
    if in_memory:
        context.mounter.mount_tmpfs(path)
    path.chmod(0o777)
    write_payload(path, files, gid=context.fs_group)

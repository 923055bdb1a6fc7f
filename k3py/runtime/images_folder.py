"""Follows <data-dir>/agent/images while the node runs (P-77): archives that come later are imported, images that lists name are pulled.

A list is a file `*.txt` with an image a line; empty lines and those that begin with # are left out. What is pulled for a list is pinned,
as what comes from archives is. A pull that fails is tried again, ever more rarely.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from k3py.runtime.cri.channel import CriChannel
from k3py.runtime.cri.images import CriImages
from k3py.runtime.errors import RuntimeFailure
from k3py.runtime.images import import_images, pin_image
from k3py.runtime.registries.images import RegistryImages, split_reference
from k3py.util import inotify
from k3py.util.backoff import Backoff
from k3py.util.inotify import Inotify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from k3py.runtime.containerd_config import ContainerdConfig

_log = logging.getLogger(__name__)

_MASK: Final = inotify.MODIFY | inotify.CLOSE_WRITE | inotify.MOVED | inotify.CREATE
_QUIET_S: Final = 0.5
_LONGEST_COPY_S: Final = 600.0


async def follow_images_folder(config: ContainerdConfig, images_changed: Callable[[], None]) -> None:
    """Work until cancelled; what goes wrong with one file is logged. `images_changed` is called when images came."""
    backoff = Backoff(first_s=10.0, cap_s=600.0, jitter=0.2)
    async with Inotify() as changes:
        changes.add(config.images_dir, _MASK)
        while True:
            lacking = await _look(config, images_changed)
            if not lacking:
                backoff.reset()
            try:
                async with asyncio.timeout(backoff.next_s() if lacking else None):
                    await changes.changed()
            except TimeoutError:
                continue
            await changes.settled(quiet_s=_QUIET_S, longest_s=_LONGEST_COPY_S)


async def _look(config: ContainerdConfig, images_changed: Callable[[], None]) -> bool:
    """Import and pull what is new; say whether something failed that may work later."""
    lacking = False
    channel = CriChannel(config.socket)
    try:
        if await import_images(config, channel):
            images_changed()
        images = RegistryImages(CriImages(channel), config.registries)
        for name in await asyncio.to_thread(read_lists, config.images_dir):
            pulled = await _ensure(channel, images, name)
            lacking |= pulled is None
            if pulled:
                images_changed()
    except (RuntimeFailure, OSError) as error:
        _log.warning("images folder cannot be worked on: %s", error)
        lacking = True
    finally:
        channel.close()
    return lacking


async def _ensure(channel: CriChannel, images: RegistryImages, name: str) -> bool | None:
    """Say whether an image was pulled, None when it cannot be had now."""
    registry, repository, version = split_reference(name)
    whole = f"{registry}/{repository}{version or ':latest'}"
    try:
        if await images.image_status(whole) is not None:
            return False
        await images.pull_image(whole)
        _log.info("pulled %s, which a list in the images folder names", whole)
        await pin_image(channel, whole)
    except RuntimeFailure as error:
        _log.warning("image %s of a list in the images folder cannot be had: %s", whole, error)
        return None
    return True


def read_lists(folder: Path) -> list[str]:
    """Return the images that the lists of a folder name. Blocking."""
    names: dict[str, None] = {}
    for file in sorted(folder.glob("*.txt")):
        if file.name.startswith(".") or not file.is_file():
            continue
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            name = line.strip()
            if name and not name.startswith("#"):
                names[name] = None
    return list(names)

"""Removes images that nobody uses when their disk runs full, the longest unused first.

Every five minutes the disk is looked at; above the high threshold images go until it is below the low one. Pinned images (the pause
image, all that were imported) stay. Source: pkg/kubelet/images/image_gc_manager.go v1.35.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.errors import K3pyError
from k3py.kubelet.recording import WARNING
from k3py.kubelet.settings import KubeletSettings
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.recording import Recorder
    from k3py.runtime.interface import ImageService

log = logging.getLogger(__name__)

PERIOD_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes of a file system."""

    size: int
    available: int

    def bytes_to_free(self, high_percent: int = 85, low_percent: int = 80) -> int:
        """Return how much must go, 0 below the high threshold."""
        if self.size <= 0 or 100 - self.available * 100 // self.size < high_percent:
            return 0
        return max(0, self.size * (100 - low_percent) // 100 - self.available)


@dataclass(slots=True)
class Known:
    """An image since when it is known, and when it was last in use (0 = never); monotonic seconds."""

    first_s: float
    used_s: float
    size: int


def choose(
    known: dict[str, Known],
    removable: Collection[str],
    wanted_bytes: int,
    now_s: float,
    least_age_s: float,
) -> tuple[list[str], int]:
    """Return which images to remove, longest unused first, and how many bytes that frees."""
    chosen, freed = [], 0
    for identity in sorted(removable, key=lambda one: (known[one].used_s, known[one].first_s)):
        if freed >= wanted_bytes:
            break
        if now_s - known[identity].first_s < least_age_s:
            continue  # a container that shall use it is perhaps being made
        chosen.append(identity)
        freed += known[identity].size
    return chosen, freed


class ImageCollector:
    """See the module.

    Args:
        images: the runtime's images.
        used: returns names, ids or digests of images of containers that are there.
        recorder, node: to tell about failures.
        settings: thresholds; None = the built-in ones.
        read_disk: looks at the file system of a mount point; blocking.
    """

    def __init__(
        self,
        images: ImageService,
        used: Callable[[], Iterable[str]],
        recorder: Recorder,
        node: JsonObject,
        *,
        settings: KubeletSettings | None = None,
        read_disk: Callable[[str], Disk] | None = None,
    ) -> None:
        self._images = images
        self._used = used
        self._recorder = recorder
        self._node = node
        self._settings = settings or KubeletSettings()
        self._read_disk = read_disk or _read_disk
        self._known: dict[str, Known] = {}
        self._looked_s = clock.monotonic_s()
        self.changed: Callable[[], None] | None = None

    def is_due(self) -> bool:
        """Say whether it is time to look again; true once a period."""
        if clock.monotonic_s() < self._looked_s + PERIOD_S:
            return False
        self._looked_s = clock.monotonic_s()
        return True

    async def remove_unused(self) -> None:
        """Remove all images that nobody uses, however full the disk is; failures are told, not raised."""
        try:
            removable = self._detect(await self._images.list_images())
        except K3pyError as error:
            self._tell("ImageGCFailed", str(error))
            return
        everything = sum(one.size for one in self._known.values())
        chosen, _ = choose(
            self._known, removable, everything + 1, clock.monotonic_s(), self._settings.image_least_age_s
        )
        _ = await self._remove(chosen)

    async def collect(self) -> None:
        """Look at the images, and remove some if the disk is full; failures are told, not raised."""
        try:
            removable = self._detect(await self._images.list_images())
            disk = await self._look_at_disk()
        except (K3pyError, OSError) as error:
            log.warning("images cannot be looked at", extra={"error": str(error)})
            self._tell("ImageGCFailed", str(error))
            return
        wanted = disk.bytes_to_free(self._settings.image_high_percent, self._settings.image_low_percent)
        if not wanted:
            return
        chosen, _ = choose(
            self._known, removable, wanted, clock.monotonic_s(), self._settings.image_least_age_s
        )
        freed = await self._remove(chosen)
        if freed < wanted:
            text = (
                f"Failed to garbage collect required amount of images. Attempted to free {wanted} bytes, "
                f"but only found {freed} bytes eligible to free."
            )
            self._tell("FreeDiskSpaceFailed", text)

    def _detect(self, images: Sequence[JsonObject]) -> list[str]:
        """Take in which images there are and which are used; return the ids of those that may go."""
        now_s, used = clock.monotonic_s(), set(self._used())
        found: dict[str, Known] = {}
        removable = []
        for image in images:
            identity = image["id"]
            known = self._known.get(identity) or Known(now_s, 0.0, 0)
            known.size = int(image.get("size") or 0)
            found[identity] = known
            names = {identity, *(image.get("repo_tags") or ()), *(image.get("repo_digests") or ())}
            if names & used:
                known.used_s = now_s
            elif not image.get("pinned"):
                removable.append(identity)
        self._known = found
        return removable

    async def _look_at_disk(self) -> Disk:
        filesystems = await self._images.image_fs_info()
        if not filesystems:
            raise K3pyError("the runtime does not tell where its images are")
        return await asyncio.to_thread(self._read_disk, filesystems[0]["fs_id"]["mountpoint"])

    async def _remove(self, identities: Sequence[str]) -> int:
        freed = 0
        for identity in identities:
            try:
                await self._images.remove_image(identity)
            except K3pyError as error:
                log.warning("image cannot be removed", extra={"image": identity, "error": str(error)})
                continue
            freed += self._known.pop(identity).size
            log.info("image removed to free disk space", extra={"image": identity})
        if identities and self.changed is not None:
            self.changed()
        return freed

    def _tell(self, reason: str, message: str) -> None:
        self._recorder.event(self._node, WARNING, reason, message)


def _read_disk(mountpoint: str) -> Disk:
    found = os.statvfs(mountpoint)
    return Disk(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)

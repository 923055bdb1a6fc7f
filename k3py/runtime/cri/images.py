"""The image half of CRI."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from k3py.runtime.errors import ImagePullFailed, RuntimeFailure, RuntimeTimeout, RuntimeUnavailable
from k3py.runtime.interface import ImageService

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject
    from k3py.runtime.cri.channel import CriChannel

_SERVICE: Final = "/runtime.v1.ImageService/"
_NAMES: Final = "/containerd.services.images.v1.Images/"
_SEEN_PAUSES_S: Final = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_CALL_S: Final = 120.0
_PULL_S: Final = 3600.0


class CriImages(ImageService):
    """Images of a CRI runtime."""

    def __init__(self, channel: CriChannel) -> None:
        self._channel = channel

    async def list_images(self) -> Sequence[JsonObject]:
        """Return Image documents."""
        answer = await self._channel.call(_SERVICE + "ListImages", {}, timeout_s=_CALL_S)
        images: list[JsonObject] = answer["images"]
        return images

    async def image_status(self, image: str) -> JsonObject | None:
        """Return the Image document, or None when it is not there."""
        answer = await self._channel.call(
            _SERVICE + "ImageStatus", {"image": {"image": image}}, timeout_s=_CALL_S
        )
        return answer.get("image")

    async def pull_image(self, image: str, *, auth: JsonObject | None = None) -> str:
        """Pull an image; return its reference."""
        request = {"image": {"image": image}, "auth": auth}
        try:
            answer = await self._channel.call(_SERVICE + "PullImage", request, timeout_s=_PULL_S)
        except (RuntimeUnavailable, RuntimeTimeout):
            raise
        except RuntimeFailure as error:
            raise ImagePullFailed(str(error)) from None
        return str(answer["image_ref"])

    async def tag_image(self, source: str, target: str) -> None:
        """Give an image a further name: containerd only, CRI itself has no such call."""
        try:
            found = await self._channel.call(_NAMES + "Get", {"name": source}, timeout_s=_CALL_S)
            image = {"name": target, "target": found["image"]["target"]}
            try:
                await self._channel.call(_NAMES + "Create", {"image": image}, timeout_s=_CALL_S)
            except RuntimeFailure as error:
                if "already exists" not in str(error):
                    raise
                update = {"image": image, "update_mask": {"paths": ["target"]}}
                await self._channel.call(_NAMES + "Update", update, timeout_s=_CALL_S)
        except (RuntimeUnavailable, RuntimeTimeout):
            raise
        except RuntimeFailure as error:
            raise ImagePullFailed(f"the runtime cannot name {source} anew: {error}") from None
        await wait_seen(self._channel, target)

    async def remove_image(self, image: str) -> None:
        """Remove an image; idempotent (the runtime takes unknown names)."""
        await self._channel.call(_SERVICE + "RemoveImage", {"image": {"image": image}}, timeout_s=_CALL_S)

    async def image_fs_info(self) -> Sequence[JsonObject]:
        """Return FilesystemUsage documents."""
        answer = await self._channel.call(_SERVICE + "ImageFsInfo", {}, timeout_s=_CALL_S)
        filesystems: list[JsonObject] = answer["image_filesystems"]
        return filesystems


async def is_seen(channel: CriChannel, name: str) -> bool:
    """Say whether CRI knows an image by this name."""
    answer = await channel.call(_SERVICE + "ImageStatus", {"image": {"image": name}}, timeout_s=_CALL_S)
    return "image" in answer


async def wait_seen(channel: CriChannel, name: str) -> None:
    """Wait until CRI's half has heard of an image that containerd has: it learns by an event. Raises RuntimeFailure."""
    for pause_s in _SEEN_PAUSES_S:
        await asyncio.sleep(pause_s)
        if await is_seen(channel, name):
            return
    raise RuntimeFailure(f"containerd has image {name}, but CRI does not show it")

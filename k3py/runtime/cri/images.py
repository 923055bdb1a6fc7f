"""The image half of CRI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.runtime.errors import ImagePullFailed, RuntimeFailure, RuntimeTimeout, RuntimeUnavailable
from k3py.runtime.interface import ImageService

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject
    from k3py.runtime.cri.channel import CriChannel

_SERVICE: Final = "/runtime.v1.ImageService/"
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

    async def remove_image(self, image: str) -> None:
        """Remove an image; idempotent (the runtime takes unknown names)."""
        await self._channel.call(_SERVICE + "RemoveImage", {"image": {"image": image}}, timeout_s=_CALL_S)

    async def image_fs_info(self) -> Sequence[JsonObject]:
        """Return FilesystemUsage documents."""
        answer = await self._channel.call(_SERVICE + "ImageFsInfo", {}, timeout_s=_CALL_S)
        filesystems: list[JsonObject] = answer["image_filesystems"]
        return filesystems

"""The fake runtime's images, and its scripted faults."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from k3py.runtime.errors import ImagePullFailed
from k3py.runtime.interface import ImageService
from k3py.util.clock import wall_s

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.jsontypes import JsonObject

DEFAULT_IMAGES: Final = ("docker.io/library/busybox:local", "k3py.io/pause:1")


class FakeImages(ImageService):
    """Images by name, in memory.

    Attributes:
        images: The images that are there, by name.
        pullable: Names that pull_image can bring; None = every one.
        pulls: Names that pull_image was asked for, in order.
    """

    def __init__(self, images: Iterable[str] = DEFAULT_IMAGES, pullable: Iterable[str] | None = None) -> None:
        self.images: dict[str, JsonObject] = {name: _image(name) for name in images}
        self.pullable = None if pullable is None else set(pullable)
        self.pulls: list[str] = []
        self._faults: defaultdict[str, list[Exception]] = defaultdict(list)

    def fail_next(self, method: str, *errors: Exception) -> None:
        """Let the next calls of `method` raise these errors, one a call."""
        self._faults[method].extend(errors)

    def check(self, method: str) -> None:
        """Raise the next scripted error of a method, if any."""
        if self._faults[method]:
            raise self._faults[method].pop(0)

    async def list_images(self) -> Sequence[JsonObject]:
        """Return Image documents."""
        self.check("list_images")
        return list(self.images.values())

    async def image_status(self, image: str) -> JsonObject | None:
        """Return the Image document or None."""
        self.check("image_status")
        return self.find_image(image)

    async def pull_image(self, image: str, *, auth: JsonObject | None = None) -> str:
        """Make an image be there, if `pullable` allows it."""
        self.check("pull_image")
        self.pulls.append(image)
        if self.pullable is not None and image not in self.pullable:
            raise ImagePullFailed(f'failed to resolve reference "{image}": not found')
        found = self.images.setdefault(_qualified(image), _image(_qualified(image)))
        return str(found["id"])

    async def tag_image(self, source: str, target: str) -> None:
        """Give an image a further name."""
        self.check("tag_image")
        found = self.find_image(source)
        if found is None:
            raise ImagePullFailed(f'image "{source}": not found')
        self.images[target] = {**found, "repo_tags": [target]}

    async def remove_image(self, image: str) -> None:
        """Forget an image."""
        self.check("remove_image")
        found = self.find_image(image)
        if found is not None:
            self.images = {name: doc for name, doc in self.images.items() if doc["id"] != found["id"]}

    async def image_fs_info(self) -> Sequence[JsonObject]:
        """Return one FilesystemUsage."""
        self.check("image_fs_info")
        return [
            {
                "timestamp": int(wall_s() * 1e9),
                "fs_id": {"mountpoint": "/"},
                "used_bytes": {"value": sum(image["size"] for image in self.images.values())},
                "inodes_used": {"value": len(self.images)},
            }
        ]

    def find_image(self, image: str) -> JsonObject | None:
        """Return the image of a name or id."""
        found = self.images.get(image) or self.images.get(_qualified(image))
        return found or next((doc for doc in self.images.values() if doc["id"] == image), None)


def _qualified(image: str) -> str:
    """Return the full name as containerd normalises it: docker.io/library/ and :latest are added."""
    name = image
    first, _, rest = image.partition("/")
    if not rest:
        name = f"docker.io/library/{image}"
    elif "." not in first and ":" not in first and first != "localhost":
        name = f"docker.io/{image}"
    return name if ":" in name.rsplit("/", 1)[-1] or "@" in name else f"{name}:latest"


def _image(name: str) -> JsonObject:
    return {
        "id": "sha256:" + hashlib.sha256(name.encode()).hexdigest(),
        "repo_tags": [name],
        "repo_digests": [],
        "size": 1 << 20,
        "username": "",
        "spec": {"image": ""},
        "pinned": name.startswith("k3py.io/pause"),
    }

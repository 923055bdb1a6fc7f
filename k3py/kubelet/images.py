"""Gets the image of a container: pull policy, credentials, back-off, one pull at a time for the same image.

Source: pkg/kubelet/images/image_manager.go v1.35.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

from k3py.errors import K3pyError
from k3py.kubelet.backoff import Backoff
from k3py.kubelet.registry_auth import find_credentials, with_default_tag
from k3py.runtime.errors import ImagePullFailed, RuntimeFailure
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.recording import PodRecorder
    from k3py.runtime.interface import ImageService

_NAME: Final = re.compile(
    r"[\w.-]+(:\d+)?(/[\w.-]+)*(:[\w][\w.-]{0,127})?(@[A-Za-z0-9_+.-]+:[0-9a-fA-F]{32,})?"
)


class ImageError(K3pyError):
    """An image cannot be had now; `reason` is the waiting reason, `retry_s` when (clock of `wall_s`) to try again."""

    def __init__(self, reason: str, message: str, *, retry_s: float) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_s = retry_s


class ImageManager:
    """Shared by all pods of a node.

    Args:
        images: the runtime's image service.
        serialize: at most one pull at a time.
    """

    def __init__(self, images: ImageService, *, serialize: bool = False) -> None:
        self._images = images
        self._backoff = Backoff()
        self._failed_s: dict[str, float] = {}
        self._pulls: dict[str, asyncio.Lock] = {}
        self._gate = asyncio.Semaphore(1 if serialize else 5)
        self.changed: Callable[[], None] | None = None

    async def ensure(
        self,
        pod: JsonObject,
        container: JsonObject,
        events: PodRecorder,
        pull_secrets: Callable[[], Awaitable[Sequence[JsonObject]]],
    ) -> JsonObject:
        """Return the Image document of a container's image, pulled if need be.

        Args:
            pod: the pod.
            container: the container.
            events: where to tell.
            pull_secrets: called when a pull needs credentials.

        Raises:
            ImageError: with the waiting reason.
            RuntimeUnavailable: the runtime does not answer.
        """
        name, image = container["name"], with_default_tag(container["image"])
        policy = container.get("imagePullPolicy") or (
            "Always" if image.endswith(":latest") else "IfNotPresent"
        )
        if not _NAME.fullmatch(image):
            message = f'Failed to apply default image tag "{image}": couldn\'t parse image name: invalid reference format'
            events.warning("InspectFailed", message, name)
            raise ImageError("InvalidImageName", message, retry_s=clock.wall_s() + 10)
        found = await self._images.image_status(image)
        if found is not None and policy != "Always":
            events.normal("Pulled", f'Container image "{image}" already present on machine', name)
            return found
        if policy == "Never":
            message = f'Container image "{image}" is not present with pull policy of Never'
            events.warning("ErrImageNeverPull", message, name)
            raise ImageError("ErrImageNeverPull", message, retry_s=clock.wall_s() + 10)
        return await self._pull(pod, image, name, events, pull_secrets)

    async def _pull(
        self,
        pod: JsonObject,
        image: str,
        name: str,
        events: PodRecorder,
        pull_secrets: Callable[[], Awaitable[Sequence[JsonObject]]],
    ) -> JsonObject:
        key = f"{pod['metadata']['uid']}_{image}"
        until_s = self._backoff.until_s(key, self._failed_s.get(key, 0.0))
        if until_s > clock.wall_s():
            message = f'Back-off pulling image "{image}"'
            events.normal("BackOff", message, name)
            events.warning("Failed", "Error: ImagePullBackOff", name)
            raise ImageError("ImagePullBackOff", message, retry_s=until_s)
        asked_s = clock.monotonic_s()
        credentials = find_credentials(image, await pull_secrets())
        lock = self._pulls.setdefault(image, asyncio.Lock())
        try:
            async with lock, self._gate:
                began_s = clock.monotonic_s()
                events.normal("Pulling", f'Pulling image "{image}"', name)
                found = await self._try_credentials(image, credentials)
        except ImagePullFailed as error:
            now_s = clock.wall_s()
            self._backoff.advance(key, now_s)
            self._failed_s[key] = now_s
            message = f'failed to pull image "{image}": {error}'
            events.warning("Failed", f'Failed to pull image "{image}": {error}', name)
            events.warning("Failed", "Error: ErrImagePull", name)
            raise ImageError("ErrImagePull", message, retry_s=now_s + self._backoff.delay_s(key)) from error
        finally:
            if not lock.locked():
                self._pulls.pop(image, None)
        self._backoff.reset(key)
        self._failed_s.pop(key, None)
        ended_s = clock.monotonic_s()
        events.normal(
            "Pulled",
            f'Successfully pulled image "{image}" in {ended_s - began_s:.3f}s ({ended_s - asked_s:.3f}s including waiting). '
            f"Image size: {found.get('size', 0)} bytes.",
            name,
        )
        if self.changed is not None:
            self.changed()
        return found

    async def _try_credentials(self, image: str, credentials: Sequence[JsonObject]) -> JsonObject:
        """Pull with each credential in turn (without any, anonymously); return the image. Raises the last failure."""
        failure: RuntimeFailure | None = None
        for auth in credentials or (None,):
            try:
                reference = await self._images.pull_image(image, auth=auth)
            except ImagePullFailed as error:
                failure = error
                continue
            found = await self._images.image_status(image) or await self._images.image_status(reference)
            if found is not None:
                return found
        raise failure or ImagePullFailed(f"image {image} is not there after its pull")

"""The images of one pod's containers: looked for while the sandbox is made, and handed to whoever starts a container."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from k3py.api.status import ApiError
from k3py.kubelet.images import ImageError
from k3py.kubelet.pod import containers, init_containers
from k3py.runtime.errors import RuntimeFailure

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.pod_worker import PodWorker
    from k3py.util.supervise import TaskScope

log = logging.getLogger(__name__)


class PodImages:
    """Images by container name, as far as they are being looked for."""

    def __init__(self, worker: PodWorker, scope: TaskScope) -> None:
        self._worker = worker
        self._node = worker.node
        self._scope = scope
        self._tasks: dict[str, asyncio.Task[JsonObject | ImageError | RuntimeFailure]] = {}

    def prefetch(self) -> None:
        """Look for the images that are needed first, once."""
        if self._tasks:
            return
        for container in init_containers(self._worker.pod)[:1] or containers(self._worker.pod):
            name = container["name"]
            self._tasks[name] = self._scope.spawn(self._find_image(container), name=f"image-{name}")

    async def take(self, container: JsonObject) -> JsonObject:
        """Return a container's image. Raises ImageError, RuntimeFailure."""
        task = self._tasks.pop(container["name"], None)
        found = await task if task is not None else await self._find_image(container)
        if isinstance(found, Exception):
            raise found
        return found

    def cancel(self) -> None:
        """Give up looking."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    async def _find_image(self, container: JsonObject) -> JsonObject | ImageError | RuntimeFailure:
        """Return the image, or why there is none: whoever starts the container tells it."""
        try:
            return await self._node.images.ensure(
                self._worker.pod, container, self._worker.events, self._pull_secrets
            )
        except (ImageError, RuntimeFailure) as error:
            return error

    async def _pull_secrets(self) -> Sequence[JsonObject]:
        view = self._node.objects.view(self._worker.pod)
        found = []
        for reference in self._worker.pod["spec"].get("imagePullSecrets") or ():
            try:
                secret = await view.secret(reference["name"])
            except ApiError as error:
                secret = None
                log.warning("pull secret cannot be read", extra={"error": error.message})
            if secret is None:
                self._worker.events.warning(
                    "FailedToRetrieveImagePullSecret",
                    f"Unable to retrieve some image pull secrets ({reference['name']}); "
                    "attempting to pull the image may not succeed.",
                )
            else:
                found.append(secret)
        return found

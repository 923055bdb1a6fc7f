"""The drivers of claimed devices on this node; what one that is gone announced (its ResourceSlices) is removed.

Source: pkg/kubelet/cm/dra/plugin v1.35.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from k3py.api.resource import RESOURCE_SLICES
from k3py.api.status import ApiError
from k3py.kubelet.plugins.channel import open_plugin
from k3py.kubelet.plugins.interface import PluginRefused
from k3py.runtime.errors import RuntimeFailure
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

_SERVICE: Final = "/k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin/"
SERVICE_NAME: Final = "v1.DRAPlugin"
_CALL_S: Final = 45.0
WIPE_S: Final = 30.0


class DraDrivers:
    """Drivers by name; a `PluginHandler`.

    Args:
        client: the API, as the node.
        node_name: of the node.
        changed: called when a driver came.
        wipe_s: how long a driver may be away until its slices are removed.
    """

    kind = "DRAPlugin"

    def __init__(
        self, client: Client, node_name: str, changed: Callable[[], None], *, wipe_s: float = WIPE_S
    ) -> None:
        self._client = client
        self._node_name = node_name
        self._changed = changed
        self._wipe_s = wipe_s
        self._drivers: dict[str, Path] = {}
        self._scope: TaskScope | None = None

    async def run(self) -> None:
        """Remove what drivers announced that do not come back after a start, and later behind those that go, until cancelled."""
        async with TaskScope() as scope:
            self._scope = scope
            try:
                await self._wipe_later(None)
                await asyncio.Event().wait()
            finally:
                self._scope = None

    async def register(self, name: str, endpoint: Path, versions: Sequence[str]) -> None:
        """Take a driver."""
        if SERVICE_NAME not in versions:
            raise PluginRefused(
                f"DRA driver {name} supports {list(versions)}; the kubelet needs {SERVICE_NAME}"
            )
        self._drivers[name] = endpoint
        self._changed()

    async def deregister(self, name: str) -> None:
        """Let go of a driver: after a while nothing of it is offered on this node any more."""
        self._drivers.pop(name, None)
        if self._scope is not None:
            _ = self._scope.spawn(self._wipe_later(name), name=f"dra-wipe-{name}")

    async def call(self, name: str, method: str, request: JsonObject) -> JsonObject:
        """Call a driver.

        Raises:
            RuntimeFailure: it is not registered, or its answer.
        """
        endpoint = self._drivers.get(name)
        if endpoint is None:
            raise RuntimeFailure(f"DRA driver {name} is not registered")
        with open_plugin(endpoint) as channel:
            return await channel.call(_SERVICE + method, request, timeout_s=_CALL_S)

    async def _wipe_later(self, name: str | None) -> None:
        await asyncio.sleep(self._wipe_s)
        try:
            selector = f"spec.nodeName={self._node_name}"
            found = await self._client.list(RESOURCE_SLICES, field_selector=selector)
            for one in found.items:
                driver = one["spec"]["driver"]
                if driver not in self._drivers and name in (None, driver):
                    await self._remove(one["metadata"]["name"])
        except ApiError as error:
            log.warning("slices of a driver that is gone stay", extra={"error": error.message})

    async def _remove(self, name: str) -> None:
        try:
            await self._client.delete(RESOURCE_SLICES, name)
        except ApiError as error:
            if error.code != 404:
                raise

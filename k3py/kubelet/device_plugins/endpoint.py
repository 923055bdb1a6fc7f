"""One device plugin: its devices, followed as they come, go and fall ill, and its calls.

Source: pkg/kubelet/cm/devicemanager/{endpoint,plugin/v1beta1/client}.go v1.35.
"""

from __future__ import annotations

import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from k3py.kubelet.plugins.channel import open_plugin
from k3py.runtime.errors import RuntimeFailure
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

_SERVICE: Final = "/v1beta1.DevicePlugin/"
_CALL_S: Final = 60.0
_PRE_START_S: Final = 30.0
GRACE_S: Final = 300.0


class Endpoint:
    """A plugin of one resource.

    Attributes:
        devices: by id; None in place of the document never occurs.
        stopped_s: since when it is gone (monotonic), None = it is there.
    """

    def __init__(self, resource: str, socket: Path, options: JsonObject, changed: Callable[[], None]) -> None:
        self.resource = resource
        self.socket = socket
        self.devices: dict[str, JsonObject] = {}
        self.stopped_s: float | None = None
        self._options = options
        self._changed = changed

    async def follow(self) -> None:
        """Follow the plugin's devices until it ends; none is healthy then."""
        try:
            with open_plugin(self.socket) as channel:
                if not self._options:
                    self._options = await channel.call(
                        _SERVICE + "GetDevicePluginOptions", {}, timeout_s=_CALL_S
                    )
                async with aclosing(channel.stream(_SERVICE + "ListAndWatch", {})) as answers:
                    async for answer in answers:
                        self.devices = {one["ID"]: one for one in answer["devices"]}
                        self._changed()
        except RuntimeFailure as error:
            log.warning("device plugin is lost", extra={"resource": self.resource, "error": str(error)})
        finally:
            self.stopped_s = clock.monotonic_s()
            self.devices = {key: {**one, "health": "Unhealthy"} for key, one in self.devices.items()}
            self._changed()

    @property
    def healthy(self) -> Collection[str]:
        """Return the ids of the devices that may be given away."""
        return {key for key, one in self.devices.items() if one["health"] == "Healthy"}

    @property
    def is_over(self) -> bool:
        """Say whether the plugin is gone for so long that its devices count no more."""
        return self.stopped_s is not None and clock.monotonic_s() >= self.stopped_s + GRACE_S

    async def prefer(self, must: Sequence[str], may: Sequence[str], amount: int) -> list[str]:
        """Return `amount` devices, those that the plugin would rather have together where it has an opinion.

        Raises:
            RuntimeFailure: the plugin's answer.
        """
        plain = [*must, *may][:amount]
        if not self._options.get("get_preferred_allocation_available") or len(must) == amount:
            return plain
        request = {
            "available_deviceIDs": [*must, *may],
            "must_include_deviceIDs": list(must),
            "allocation_size": amount,
        }
        answer = await self._call("GetPreferredAllocation", {"container_requests": [request]})
        preferred: list[str] = (
            answer["container_responses"][0]["deviceIDs"] if answer["container_responses"] else []
        )
        allowed = {*must, *may}
        chosen = [*must, *(one for one in preferred if one in allowed and one not in must)]
        return list(dict.fromkeys([*chosen, *plain]))[:amount]

    async def allocate(self, devices: Sequence[str]) -> JsonObject:
        """Return what a container with these devices needs (ContainerAllocateResponse). Raises RuntimeFailure."""
        answer = await self._call("Allocate", {"container_requests": [{"devices_ids": list(devices)}]})
        responses: Sequence[JsonObject] = answer["container_responses"]
        if len(responses) != 1:
            raise RuntimeFailure(
                f"device plugin of {self.resource} gave {len(responses)} answers instead of one"
            )
        return responses[0]

    async def pre_start(self, devices: Collection[str]) -> None:
        """Let the plugin make devices ready for a container, where it wants that. Raises RuntimeFailure."""
        if self._options.get("pre_start_required"):
            await self._call("PreStartContainer", {"devices_ids": sorted(devices)}, timeout_s=_PRE_START_S)

    async def _call(self, method: str, request: JsonObject, *, timeout_s: float = _CALL_S) -> JsonObject:
        with open_plugin(self.socket) as channel:
            return await channel.call(_SERVICE + method, request, timeout_s=timeout_s)

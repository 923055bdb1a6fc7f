"""The device plugins of a node: who is registered, what the node has of their resources, and who has which device.

    plugin ──Register──► <root>/device-plugins/kubelet.sock; here ──ListAndWatch──► plugin: devices, followed
    pod ──Allocate──► environment, mounts, devices, CDI names for its containers, kept on disk as long as the pod is here

Source: pkg/kubelet/cm/devicemanager v1.35; k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from k3py.api.validation.resources import is_extended
from k3py.kubelet.device_plugins.allocation import (
    Allocation,
    DevicesUnavailable,
    Reuse,
    choose_devices,
    wanted_devices,
)
from k3py.kubelet.device_plugins.checkpoint import read_checkpoint, write_checkpoint
from k3py.kubelet.device_plugins.endpoint import GRACE_S, Endpoint
from k3py.kubelet.plugins.interface import PluginRefused
from k3py.kubelet.pod import containers, init_containers, is_sidecar
from k3py.runtime.errors import RuntimeFailure
from k3py.util.supervise import TaskScope
from k3py.wire.plugin_protobuf import load_plugin_messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

VERSION: Final = "v1beta1"
CHECKPOINT: Final = "kubelet_internal_checkpoint"
SOCKET: Final = "kubelet.sock"


class DeviceManager:
    """See the module; also the `PluginHandler` of device plugins that register by the folder of sockets.

    Args:
        folder: <root>/device-plugins.
        changed: called when the node's devices changed.
    """

    kind = "DevicePlugin"

    def __init__(self, folder: Path, changed: Callable[[], None]) -> None:
        self._folder = folder
        self._changed = changed
        self._endpoints: dict[str, Endpoint] = {}
        self._followers: dict[str, asyncio.Task[None]] = {}
        self._allocations: dict[tuple[str, str, str], Allocation] = {}
        self._known: set[str] = set()  # resources that plugins had once: what is gone counts as none
        self._allocating = asyncio.Lock()
        self._scope: TaskScope | None = None

    # --- plugins ------------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read what containers have; before any pod is looked at."""
        found, self._known = await asyncio.to_thread(self._load)
        self._allocations = {(one.uid, one.container, one.resource): one for one in found}

    async def run(self) -> None:
        """Let plugins register until cancelled."""
        from k3py.kubelet.plugins.server import serve_socket  # noqa: PLC0415 - with the socket, not with the module

        answers = {"/v1beta1.Registration/Register": self._register}
        async with TaskScope() as scope:
            self._scope = scope
            try:
                async with serve_socket(self._folder / SOCKET, answers):
                    await asyncio.Event().wait()
            finally:
                self._scope = None

    async def _register(self, request: JsonObject) -> JsonObject:
        if request["version"] != VERSION:
            raise RuntimeFailure(
                f"requested API version {request['version']!r} is not supported by kubelet. Supported version is {VERSION!r}"
            )
        name = request["resource_name"]
        if not is_extended(name):
            raise RuntimeFailure(f"the ResourceName {name!r} is invalid")
        endpoint = request["endpoint"]
        if "/" in endpoint or not endpoint:
            raise RuntimeFailure(f"the endpoint {endpoint!r} is no name of a socket in {self._folder}")
        self._add(name, self._folder / endpoint, request.get("options") or {})
        await asyncio.to_thread(self._save)
        return {}

    async def register(self, name: str, endpoint: Path, versions: Sequence[str]) -> None:
        """Take a plugin that made itself known by the folder of sockets."""
        if VERSION not in versions:
            raise PluginRefused(f"device plugin {name} speaks {list(versions)}, known is {VERSION}")
        if not is_extended(name):
            raise PluginRefused(f"invalid name of device plugin socket: {name!r} is no extended resource")
        self._add(name, endpoint, {})
        await asyncio.to_thread(self._save)

    async def deregister(self, name: str) -> None:
        """Let go of a plugin; its devices are ill from now on."""
        follower = self._followers.pop(name, None)
        if follower is not None:
            follower.cancel()

    def _add(self, name: str, socket: Path, options: JsonObject) -> None:
        if self._scope is None:
            raise RuntimeFailure("the kubelet is ending")
        before = self._followers.pop(name, None)
        if before is not None:
            before.cancel()
        self._known.add(name)
        endpoint = self._endpoints[name] = Endpoint(name, socket, options, self._changed)
        self._followers[name] = self._scope.spawn(self._follow(endpoint), name=f"device-plugin-{name}")
        log.info("device plugin registered", extra={"resource": name})

    async def _follow(self, endpoint: Endpoint) -> None:
        await endpoint.follow()
        if self._endpoints.get(endpoint.resource) is endpoint:
            await asyncio.sleep(GRACE_S)  # until then the node has the devices, though none is healthy
            if self._endpoints.get(endpoint.resource) is endpoint:
                del self._endpoints[endpoint.resource]
                self._changed()

    # --- what the node has --------------------------------------------------------------------------------------------

    def capacity(self) -> dict[str, str]:
        """Return how many devices there are, by resource; of plugins that are gone none."""
        return dict.fromkeys(self._known, "0") | {
            name: str(len(one.devices)) for name, one in self._endpoints.items()
        }

    def allocatable(self) -> dict[str, str]:
        """Return how many of them may be given away."""
        return dict.fromkeys(self._known, "0") | {
            name: str(len(one.healthy)) for name, one in self._endpoints.items()
        }

    def devices(self) -> Iterator[tuple[str, JsonObject]]:
        """Yield (resource, device) of all that may be given away."""
        for name, endpoint in self._endpoints.items():
            for device in endpoint.devices.values():
                if device["health"] == "Healthy":
                    yield name, device

    def devices_by_id(self) -> Iterator[tuple[tuple[str, str], JsonObject]]:
        """Yield ((resource, id), device) of all devices, ill ones too."""
        for name, endpoint in self._endpoints.items():
            for identity, device in endpoint.devices.items():
                yield (name, identity), device

    # --- who has what -------------------------------------------------------------------------------------------------

    async def allocate(self, pod: JsonObject) -> None:
        """Give a pod's containers the devices that they ask for; what they have, they keep.

        Raises:
            DevicesUnavailable: there are too few, or the plugin refused.
        """
        resources = self._known
        if not any(wanted_devices(one, resources) for one in (*init_containers(pod), *containers(pod))):
            return
        async with self._allocating:
            before = len(self._allocations)
            reuse = Reuse()
            for container in init_containers(pod):
                await self._allocate(pod, container, reuse, ends=not is_sidecar(container))
            for container in containers(pod):
                await self._allocate(pod, container, reuse, ends=False)
            if len(self._allocations) != before:
                await asyncio.to_thread(self._save)

    async def _allocate(self, pod: JsonObject, container: JsonObject, reuse: Reuse, *, ends: bool) -> None:
        uid = pod["metadata"]["uid"]
        for resource, amount in wanted_devices(container, self._known).items():
            key = (uid, container["name"], resource)
            found = self._allocations.get(key)
            if found is None:
                found = await self._choose(key, amount, reuse)
                self._allocations[key] = found
            if ends:
                reuse.offer(resource, found.devices)
            else:
                reuse.take(resource, found.devices)

    async def _choose(self, key: tuple[str, str, str], amount: int, reuse: Reuse) -> Allocation:
        uid, container, resource = key
        endpoint = self._endpoints.get(resource)
        if endpoint is None or endpoint.stopped_s is not None:
            raise DevicesUnavailable(
                f"Allocate failed due to no healthy devices present; cannot allocate unhealthy devices {resource}, "
                "which is unexpected"
            )
        used = {
            one for held in self._allocations.values() if held.resource == resource for one in held.devices
        }
        must, may = choose_devices(
            resource, amount, endpoint.healthy, used, reuse.devices.get(resource, set())
        )
        try:
            chosen = await endpoint.prefer(must, may, amount)
            response = await endpoint.allocate(chosen)
        except RuntimeFailure as error:
            code = f"rpc error: code = {error.code} desc = " if error.code else ""
            raise DevicesUnavailable(f"Allocate failed due to {code}{error}, which is unexpected") from error
        return Allocation(
            uid=uid, container=container, resource=resource, devices=frozenset(chosen), response=response
        )

    async def pre_start(self, uid: str, container: str) -> None:
        """Let plugins make a container's devices ready. Raises RuntimeFailure."""
        for one in self.of(uid, container):
            endpoint = self._endpoints.get(one.resource)
            if endpoint is not None:
                await endpoint.pre_start(one.devices)

    def of(self, uid: str, container: str) -> list[Allocation]:
        """Return what a container has."""
        return [one for one in self._allocations.values() if (one.uid, one.container) == (uid, container)]

    async def release(self, uid: str) -> None:
        """Take back what a pod has."""
        keys = [one for one in self._allocations if one[0] == uid]
        for key in keys:
            del self._allocations[key]
        if keys:
            await asyncio.to_thread(self._save)

    async def keep_only(self, uids: frozenset[str]) -> None:
        """Take back what pods have that are here no more."""
        for uid in {one[0] for one in self._allocations} - uids:
            await self.release(uid)

    # --- the disk -----------------------------------------------------------------------------------------------------

    def _load(self) -> tuple[list[Allocation], set[str]]:
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        # Plugins watch for this: a kubelet that begins again knows none of them.
        for path in self._folder.iterdir():
            if path.is_socket():
                path.unlink()
        path = self._folder / CHECKPOINT
        return read_checkpoint(path, load_plugin_messages()) if path.exists() else ([], set())

    def _save(self) -> None:
        registered: Mapping[str, Sequence[str]] = {
            name: sorted(self._endpoints[name].devices) if name in self._endpoints else ()
            for name in sorted(self._known)
        }
        path = self._folder / CHECKPOINT
        write_checkpoint(path, list(self._allocations.values()), registered, load_plugin_messages())

"""Puts together what of a node is done by plugins (CSI drivers, device plugins, drivers of claimed devices), and runs what follows them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from k3py.api.status import ApiError
from k3py.kubelet.amounts import cpu_millis
from k3py.kubelet.cpus.cpu_set import take
from k3py.kubelet.cpus.manager import STATE as CPU_STATE
from k3py.kubelet.cpus.manager import CpuManager, read_cores
from k3py.kubelet.csi.attachments import Attachments
from k3py.kubelet.csi.drivers import CsiDrivers
from k3py.kubelet.csi.state import CsiState
from k3py.kubelet.csi.volumes import CsiVolumes
from k3py.kubelet.device_plugins.manager import DeviceManager
from k3py.kubelet.devices import PodDevices
from k3py.kubelet.dra.claims import STATE, ClaimManager
from k3py.kubelet.dra.drivers import DraDrivers
from k3py.kubelet.plugins.pod_resources import PodResources
from k3py.kubelet.plugins.watcher import PluginWatcher
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from k3py.client.interface import Informer
    from k3py.jsontypes import JsonObject
    from k3py.kubelet.config import KubeletConfig
    from k3py.kubelet.node import NodeManager
    from k3py.kubelet.node_context import NodeContext

log = logging.getLogger(__name__)


class NodePlugins:
    """Plugins of one node; makes `context.csi` and `context.devices`.

    Args:
        context: what pods share.
        node: tells of volumes in use and of devices.
        informer: follows the Node.
        changed: called when a driver came.
        pods: returns the pods of the node.
    """

    def __init__(
        self,
        context: NodeContext,
        node: NodeManager,
        informer: Informer,
        changed: Callable[[], None],
        pods: Callable[[], Sequence[JsonObject]],
    ) -> None:
        config = context.config
        name, root = config.node_name, config.root_dir
        attachments = Attachments(context.client, name, lambda: node.node, node.look)
        self._csi_drivers = CsiDrivers(context.client, name, lambda: node.node, changed)
        self._csi = context.csi = CsiVolumes(
            CsiState(root, name), self._csi_drivers, attachments, context.client, context.recorder
        )
        self._devices = DeviceManager(root / "device-plugins", node.look)
        self._dra_drivers = DraDrivers(context.client, name, changed)
        self._claims = ClaimManager(root / STATE, self._dra_drivers, context.client)
        self._cpus = _make_cpu_manager(config, context.cpus_changed)
        context.devices = PodDevices(self._devices, self._claims, self._cpus)
        node.volumes_in_use = lambda: attachments.in_use
        node.devices = self._devices
        self._watcher = PluginWatcher(
            root / "plugins_registry", (self._csi_drivers, self._dra_drivers, self._devices)
        )
        self._resources = PodResources(root / "pod-resources", pods, self._devices, self._claims, self._cpus)

        def node_changed(_: JsonObject | None, __: JsonObject | None) -> None:
            attachments.node_changed()

        informer.add_handler(node_changed)

    async def load(self) -> None:
        """Read what a kubelet before left; before any pod is looked at."""
        await self._csi.load()
        await self._devices.load()
        await self._claims.load()
        if self._cpus is not None:
            await self._cpus.load()

    async def run(self) -> None:
        """Follow plugins until cancelled."""
        async with TaskScope() as scope:
            _ = scope.spawn(self._introduce(), name="csi-node")
            _ = scope.spawn(self._devices.run(), name="device-plugins")
            _ = scope.spawn(self._dra_drivers.run(), name="dra-drivers")
            _ = scope.spawn(self._resources.run(), name="pod-resources")
            _ = scope.spawn(self._watcher.run(), name="plugin-watcher")

    async def _introduce(self) -> None:
        try:
            await self._csi_drivers.introduce()
        except ApiError as error:  # the first driver makes it
            log.warning("CSINode cannot be made", extra={"error": error.message})


def _make_cpu_manager(config: KubeletConfig, changed: asyncio.Event) -> CpuManager | None:
    """Make the CPU manager where it is asked for; it reads a few files of /sys."""
    settings = config.settings
    if not settings.static_cpus:
        return None
    cores = read_cores()
    amount = -(-cpu_millis(settings.reserved.get("cpu", "0")) // 1000)
    reserved = settings.reserved_cpus or take(frozenset(cores), amount, cores) or frozenset(cores)
    return CpuManager(config.root_dir / CPU_STATE, cores, reserved, changed.set)

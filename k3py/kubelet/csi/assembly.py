"""Puts a node's CSI part together, and runs what follows plugins."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from k3py.api.status import ApiError
from k3py.kubelet.csi.attachments import Attachments
from k3py.kubelet.csi.drivers import CsiDrivers
from k3py.kubelet.csi.state import CsiState
from k3py.kubelet.csi.volumes import CsiVolumes
from k3py.kubelet.plugins.watcher import PluginWatcher
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from k3py.client.interface import Informer
    from k3py.jsontypes import JsonObject
    from k3py.kubelet.node import NodeManager
    from k3py.kubelet.node_context import NodeContext

log = logging.getLogger(__name__)


class CsiNode:
    """CSI on one node.

    volumes: what pods get.
    """

    def __init__(self, root: Path, drivers: CsiDrivers, volumes: CsiVolumes) -> None:
        self._root = root
        self._drivers = drivers
        self.volumes = volumes

    async def run(self) -> None:
        """Follow drivers until cancelled."""
        async with TaskScope() as scope:
            _ = scope.spawn(self._introduce(), name="csi-node")
            watcher = PluginWatcher(self._root / "plugins_registry", (self._drivers,))
            _ = scope.spawn(watcher.run(), name="plugin-watcher")

    async def _introduce(self) -> None:
        try:
            await self._drivers.introduce()
        except ApiError as error:  # the first driver makes it
            log.warning("CSINode cannot be made", extra={"error": error.message})


def build_csi(
    context: NodeContext, node: NodeManager, informer: Informer, changed: Callable[[], None]
) -> CsiNode:
    """Make the CSI part of a node; `changed` is called when a driver came."""
    config = context.config
    attachments = Attachments(context.client, config.node_name, lambda: node.node, node.look)
    drivers = CsiDrivers(context.client, config.node_name, lambda: node.node, changed)
    state = CsiState(config.root_dir, config.node_name)
    volumes = context.csi = CsiVolumes(state, drivers, attachments, context.client)
    node.volumes_in_use = lambda: attachments.in_use

    def node_changed(_: JsonObject | None, __: JsonObject | None) -> None:
        attachments.node_changed()

    informer.add_handler(node_changed)
    return CsiNode(config.root_dir, drivers, volumes)

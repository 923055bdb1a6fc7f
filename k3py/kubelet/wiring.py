"""Puts a kubelet together: what is made once a node, and in which order it starts and ends.

Called by the composition roots; the client decides whether the API server is in this process or elsewhere. Stopping the kubelet
leaves pods running; starting it again takes them over.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from k3py.api.resource import NODES, PODS, SERVICES
from k3py.kubelet.cgroups import CgroupTree
from k3py.kubelet.config import KubeletConfig
from k3py.kubelet.eviction import EvictionManager
from k3py.kubelet.image_gc import ImageCollector
from k3py.kubelet.images import ImageManager
from k3py.kubelet.machine import read_machine, read_pressure
from k3py.kubelet.node import NodeManager
from k3py.kubelet.node_context import NodeContext
from k3py.kubelet.node_plugins import NodePlugins
from k3py.kubelet.objects import ReferencedObjects
from k3py.kubelet.pods import PodManager
from k3py.kubelet.thresholds import ThresholdWatch
from k3py.kubelet.volumes.mounts import SystemMounter
from k3py.runtime.interface import ObservableRuntime
from k3py.util.supervise import Policy, TaskScope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from k3py.client.interface import Client, Informer, InformerFactory
    from k3py.client.last_known import LastKnown
    from k3py.kubelet.pod_worker import PodWorker
    from k3py.kubelet.recording import Recorder
    from k3py.kubelet.shutdown import Inhibitor, ShutdownManager
    from k3py.kubelet.volumes.interface import Mounter
    from k3py.network.interface import PodNetwork, PolicyEnforcer
    from k3py.runtime.interface import ImageService, RuntimeService

log = logging.getLogger(__name__)

__all__ = ["Kubelet", "KubeletConfig"]


class Kubelet:
    """The node agent, a Component.

    Args:
        config: its settings.
        client: the API as system:node:<name>.
        informers: of the same user.
        recorder: sends Events; `named("kubelet", host=…)`.
        runtime: containers.
        images: their images.
        network: the pod network.
        policy_enforcer: enforces network policies; None = nobody does.
        mounter: None = the system's mounts.
        inhibitor: holds up the machine's shutdown; None = systemd-logind's.
        last_known: what a start without the server begins with; None = the kubelet waits for the server.
    """

    def __init__(
        self,
        config: KubeletConfig,
        client: Client,
        informers: InformerFactory,
        recorder: Recorder,
        runtime: RuntimeService,
        images: ImageService,
        network: PodNetwork,
        *,
        policy_enforcer: PolicyEnforcer | None = None,
        mounter: Mounter | None = None,
        inhibitor: Inhibitor | None = None,
        last_known: LastKnown | None = None,
    ) -> None:
        self._config = config
        self._client = client
        self._informers = informers
        self._recorder = recorder
        self._runtime = runtime
        self._images = images
        self._network = network
        self._policy_enforcer = policy_enforcer
        self._mounter = mounter
        self._inhibitor = inhibitor
        self._last_known = last_known
        self._reload: Callable[[], None] | None = None
        self.pods: PodManager | None = None
        self.node: NodeManager | None = None
        if config.own_address is not None:
            config.own_address.on_change(self._address_changed)

    @property
    def name(self) -> str:
        """Component's name."""
        return "kubelet"

    @property
    def policy(self) -> Policy:
        """A kubelet that failed begins again and takes over its pods."""
        return Policy.RESTART

    def reload_certificate(self) -> None:
        """Take a renewed serving certificate into use for new connections."""
        if self._reload is not None:
            self._reload()

    def _address_changed(self) -> None:
        """Tell the Node's new address, and that of the pods that use the node's network."""
        if self.node is not None:
            self.node.look()
        if self.pods is not None:
            self.pods.wake_all()

    def images_changed(self) -> None:
        """Look at the runtime's images again: others than the kubelet pulled or imported some."""
        if self.node is not None:
            self.node.images_changed()

    async def run(self, started: Callable[[], None]) -> None:
        """Register the node and run its pods until cancelled; `started` is called once the node is known."""
        config = self._config
        cgroups = CgroupTree(config.cgroup_root) if config.cgroups_enabled else None
        await asyncio.to_thread(_make_folders, config, cgroups)
        machine = await asyncio.to_thread(read_machine)
        pod_informer = self._informers.informer(PODS, field_selector=f"spec.nodeName={config.node_name}")
        node_informer = self._informers.informer(NODES, field_selector=f"metadata.name={config.node_name}")
        services = self._informers.informer(SERVICES)
        async with TaskScope() as scope:
            manager: PodManager | None = None

            def wake(uid: str) -> None:
                if manager is not None:
                    manager.wake(uid)

            def wake_all() -> None:
                if manager is not None:
                    manager.wake_all()

            images = ImageManager(self._images, serialize=config.settings.serialize_image_pulls)
            context = NodeContext(
                config=config,
                client=self._client,
                recorder=self._recorder,
                runtime=self._runtime,
                images=images,
                objects=ReferencedObjects(self._client, scope, wake, self._last_known),
                services=services.lister,
                cgroups=cgroups,
                mounter=self._mounter or SystemMounter(),
                machine=machine,
                thresholds=ThresholdWatch(config.settings.thresholds, config.settings.transition_s),
                policy_enforcer=self._policy_enforcer,
            )

            if isinstance(self._runtime, ObservableRuntime):
                self._runtime.observe_calls(context.metrics.observe_call)

            collector = ImageCollector(
                self._images,
                lambda: () if manager is None else manager.images_in_use(),
                self._recorder,
                # Upstream's kubelet writes the node's name as its uid; tools look Events up by it.
                {"kind": "Node", "apiVersion": "v1", "name": config.node_name, "uid": config.node_name},
                settings=config.settings,
            )

            evictions = EvictionManager(
                context,
                lambda: () if manager is None else manager.workers(),
                read_pressure,
                collector.remove_unused,
            )

            def housekeep() -> None:
                if manager is not None:
                    manager.housekeep()
                _ = scope.spawn(evictions.check(), name="kubelet-eviction")
                if collector.is_due():
                    _ = scope.spawn(collector.collect(), name="kubelet-image-gc")

            def drivers_changed() -> None:
                if manager is not None:
                    manager.drivers_changed()

            node = NodeManager(context, self._images, self._network, node_informer, wake_all, housekeep)
            plugins = NodePlugins(
                context,
                node,
                node_informer,
                drivers_changed,
                lambda: () if manager is None else manager.list_pods(),
            )
            self.node = node
            manager = self.pods = PodManager(context, pod_informer, scope, lambda: node.node)
            manager.runtime_lost = node.runtime_lost
            images.changed = collector.changed = node.images_changed
            await context.objects.load()
            await plugins.load()
            await self._register(scope, node, node_informer)
            await services.wait_synced()
            if config.cert_file is not None:
                await self._serve(scope, context, manager, node)
            _ = scope.spawn(node.run(), name="kubelet-node")
            _ = scope.spawn(manager.run(), name="kubelet-pods")
            _ = scope.spawn(plugins.run(), name="kubelet-plugins")
            if config.settings.shutdown_grace_s > 0:
                shutdown = self._make_shutdown(manager.workers, node.look)
                context.is_shutting_down = lambda: shutdown.is_shutting_down
                _ = scope.spawn(shutdown.run(), name="kubelet-shutdown")
            started()

    def _make_shutdown(
        self, workers: Callable[[], Sequence[PodWorker]], changed: Callable[[], None]
    ) -> ShutdownManager:
        from k3py.kubelet.shutdown import ShutdownManager  # noqa: PLC0415 - only where it is asked for

        inhibitor = self._inhibitor
        if inhibitor is None:
            from k3py.kubelet.logind import LogindInhibitor  # noqa: PLC0415 - as above

            inhibitor = LogindInhibitor()
        return ShutdownManager(self._config.settings, inhibitor, workers, changed)

    async def _register(self, scope: TaskScope, node: NodeManager, informer: Informer) -> None:
        """Register the node; without a server, one that was registered before goes on, and registers when the server is back."""
        if self._last_known is None:
            await node.register()
            await informer.wait_synced()
            return
        registration = scope.spawn(node.register(), name="kubelet-registration")
        await node.facts_known.wait()
        await informer.wait_synced()
        if node.node is None or not self._last_known.offline:
            await registration

    async def _serve(
        self, scope: TaskScope, context: NodeContext, pods: PodManager, node: NodeManager
    ) -> None:
        """Open the HTTPS server, so that its port is known before the node says it."""
        from k3py.kubelet.server.app import KubeletServer  # noqa: PLC0415 - only where there is a certificate

        listening = asyncio.get_running_loop().create_future()
        server = KubeletServer(context, pods)
        self._reload = server.reload_certificate
        _ = scope.spawn(server.run(listening.set_result), name="kubelet-server")
        node.port = await listening


def _make_folders(config: KubeletConfig, cgroups: CgroupTree | None) -> None:
    config.root_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
    (config.root_dir / "pods").mkdir(mode=0o750, exist_ok=True)
    if config.static_pods_dir is not None:
        config.static_pods_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
    config.pod_logs_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    if cgroups is not None:
        cgroups.set_up()

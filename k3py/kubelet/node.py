"""The Node of this kubelet: registration, lease, status, and the pod network once the node has its range.

One loop with one timer: every ten seconds the lease is renewed and what may run out is looked at; the status is sent when it
changed, and every five minutes. Everything else is an event: the Node (its podCIDR), the runtime, the images.

Source: pkg/kubelet/kubelet_node_status.go, pkg/util/lease/controller.go v1.35.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from k3py.api.resource import LEASES, NODES
from k3py.api.status import ApiError
from k3py.client.interface import PatchType
from k3py.errors import K3pyError
from k3py.kubelet.machine import Pressure, read_pressure
from k3py.kubelet.node_status import (
    NodeFacts,
    allocatable,
    changed_parts,
    new_node,
    node_labels,
    node_status,
)
from k3py.kubelet.recording import NORMAL
from k3py.kubelet.shutdown import NOT_READY
from k3py.network.interface import node_ranges
from k3py.runtime.errors import RuntimeFailure
from k3py.util import clock
from k3py.util.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from k3py.client.interface import Informer
    from k3py.jsontypes import JsonObject
    from k3py.kubelet.device_plugins.manager import DeviceManager
    from k3py.kubelet.node_context import NodeContext
    from k3py.network.interface import PodNetwork
    from k3py.runtime.interface import ImageService

log = logging.getLogger(__name__)

LEASE_NAMESPACE: Final = "kube-node-lease"
LEASE_S: Final = 40
RENEW_S: Final = 10.0
REPORT_S: Final = 300.0
_NETWORK_RETRY_S: Final = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_API_RETRY_S: Final = 1.0
_API_RETRY_MAX_S: Final = 10.0
_NO_CIDR: Final = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
    "message:Network plugin returns error: node has no podCIDR yet"
)


class NodeManager:
    """Keeps the Node object true.

    Args:
        context: what pods share; `network_ready` and `allocatable` are set here.
        images: the runtime's images.
        network: the pod network.
        informer: follows this node's Node object.
        network_ready: called when pods may get sandboxes.
        housekeep: called with the timer, so that there is only one.
    """

    def __init__(
        self,
        context: NodeContext,
        images: ImageService,
        network: PodNetwork,
        informer: Informer,
        network_ready: Callable[[], None],
        housekeep: Callable[[], None],
    ) -> None:
        self._context = context
        self._config = context.config
        self._client = context.client
        self._images = images
        self._network = network
        self._informer = informer
        self._network_ready = network_ready
        self._housekeep = housekeep
        self._changed = asyncio.Event()
        self._configured = ""
        self._tries = 0
        self._runtime_error = ""
        self._runtime_version = ""
        self._reported_s = 0.0
        self._renewed_s = 0.0
        self._asked_s = 0.0
        self._image_list: Sequence[JsonObject] = ()
        self._images_stale = True
        self._sent: JsonObject = {}
        self._told: dict[str, str] = {}
        self.facts_known = asyncio.Event()
        self.volumes_in_use: Callable[[], Sequence[str]] | None = None
        self.devices: DeviceManager | None = None
        self.port = 0

    @property
    def node(self) -> JsonObject | None:
        """Return the Node as the API has it."""
        return self._informer.lister.find("", self._config.node_name)

    @property
    def _reference(self) -> JsonObject:
        # Upstream's kubelet writes the node's name as its uid; tools look Events up by it.
        return {
            "kind": "Node",
            "apiVersion": "v1",
            "name": self._config.node_name,
            "uid": self._config.node_name,
        }

    def look(self) -> None:
        """Look at everything soon."""
        self._changed.set()

    @property
    def _shutdown(self) -> str:
        return NOT_READY if self._context.is_shutting_down() else ""

    def images_changed(self) -> None:
        """List the images again."""
        self._images_stale = True
        self._changed.set()

    def runtime_lost(self, message: str) -> None:
        """Note that the runtime went away: ask it."""
        self._runtime_error = message
        self._runtime_version = ""
        self._changed.set()

    async def register(self) -> None:
        """Make the Node, or take over the one that is there; returns when the API has it.

        `facts_known` is set before the first attempt: what pods need of the node is there.
        """
        facts = await self._facts()
        self._context.allocatable = allocatable(facts)
        wanted = new_node(facts)
        self.facts_known.set()
        backoff = Backoff(first_s=_API_RETRY_S, cap_s=_API_RETRY_MAX_S, jitter=0.2)
        while True:
            try:
                await self._register(wanted)
            except ApiError as error:
                level = logging.WARNING if backoff.attempts == 0 else logging.DEBUG
                log.log(level, "node cannot be registered", extra={"error": error.message})
                await asyncio.sleep(backoff.next_s())
            else:
                break
        self._context.recorder.event(self._reference, NORMAL, "Starting", "Starting kubelet.")

    async def _register(self, wanted: JsonObject) -> None:
        try:
            made = await self._client.create(NODES, wanted)
        except ApiError as error:
            if error.code != 409:
                raise
            patch = {
                "metadata": {
                    "labels": node_labels(self._config, self._context.machine),
                    "annotations": wanted["metadata"]["annotations"],
                }
            }
            made = await self._client.patch(NODES, self._config.node_name, patch, patch_type=PatchType.MERGE)
        self._sent = made.get("status") or {}
        self._uid = made["metadata"]["uid"]

    async def run(self) -> None:
        """Keep lease, status and network up to date until cancelled."""
        self._informer.add_handler(self._handle)
        backoff = Backoff(first_s=_API_RETRY_S, cap_s=_API_RETRY_MAX_S, jitter=0.2)
        while True:
            self._changed.clear()
            retry_s = await self._configure_network()
            try:
                await self._renew()
                await self._report()
            except ApiError as error:
                level = logging.WARNING if backoff.attempts == 0 else logging.DEBUG
                log.log(level, "node status not sent", extra={"error": error.message})
                if error.code == 404:
                    await self.register()
                pause_s = backoff.next_s()
                retry_s = pause_s if retry_s is None else retry_s
            else:
                backoff.reset()
            await self._sleep(retry_s)

    def _handle(self, old: JsonObject | None, new: JsonObject | None) -> None:
        if new is None or _decisive(new) != _decisive(old or {}):
            self._changed.set()

    async def _sleep(self, retry_s: float | None) -> None:
        wait_s = max(0.0, self._renewed_s + RENEW_S - clock.monotonic_s())
        if retry_s is not None:
            wait_s = min(wait_s, retry_s)
        try:
            async with asyncio.timeout(wait_s):
                await self._changed.wait()
        except TimeoutError:
            return

    # --- network ------------------------------------------------------------------------------------------------------

    async def _configure_network(self) -> float | None:
        """Configure the pod network when the range is known; return when to look again, None = on the next event."""
        node = self.node
        cidr = "" if node is None else ",".join(node_ranges(node))
        now_s = clock.monotonic_s()
        fine = self._context.network_ready and not self._runtime_error
        if fine and cidr == self._configured and now_s < self._asked_s + RENEW_S - 1:
            return None
        self._asked_s = now_s
        try:
            if cidr and cidr != self._configured:
                await self._network.configure(pod_cidr=cidr, cni_conf_dir=self._config.cni_conf_dir)
                self._configured = cidr
            self._runtime_error = await self._ask_runtime()
        except RuntimeFailure as error:
            self._runtime_error = f"container runtime is down: {error}"
            return 1.0
        except (K3pyError, OSError) as error:
            self._runtime_error = f"pod network cannot be configured: {error}"
            return 5.0
        if not self._configured:
            self._runtime_error = self._runtime_error or _NO_CIDR
            return None
        ready = not self._runtime_error
        if ready != self._context.network_ready:
            self._context.network_ready = ready
            if ready:
                self._network_ready()
        if ready:
            self._tries = 0
            return None
        # The runtime takes a new configuration in by itself a moment after it was written, and tells nobody.
        self._tries += 1
        return _NETWORK_RETRY_S[min(self._tries, len(_NETWORK_RETRY_S)) - 1]

    async def _ask_runtime(self) -> str:
        """Return why the runtime cannot run pods, "" = it can.

        Only the two conditions that CRI demands count: a runtime may have further ones (containerd 2 warns with one).
        """
        status = await self._context.runtime.status()
        for condition in status.get("conditions") or ():
            kind = condition["type"]
            if condition.get("status") or kind not in ("RuntimeReady", "NetworkReady"):
                continue
            detail = (
                f"{kind}=false reason:{condition.get('reason', '')} message:{condition.get('message', '')}"
            )
            if kind == "NetworkReady":
                return f"container runtime network not ready: {detail}"
            return f"container runtime status check may not have completed yet: {detail}"
        return ""

    # --- lease and status ---------------------------------------------------------------------------------------------

    async def _renew(self) -> None:
        now_s = clock.monotonic_s()
        if self._renewed_s and now_s < self._renewed_s + RENEW_S - 0.5:
            return
        stamp = clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": self._config.node_name, "leaseDurationSeconds": LEASE_S, "renewTime": stamp}
        try:
            await self._client.patch(
                LEASES,
                self._config.node_name,
                {"spec": spec},
                patch_type=PatchType.MERGE,
                namespace=LEASE_NAMESPACE,
            )
        except ApiError as error:
            if error.code != 404:
                raise
            await self._create_lease(spec)
        self._renewed_s = now_s
        self._housekeep()

    async def _create_lease(self, spec: JsonObject) -> None:
        owner = {"apiVersion": "v1", "kind": "Node", "name": self._config.node_name, "uid": self._uid}
        lease = {
            "kind": "Lease",
            "apiVersion": "coordination.k8s.io/v1",
            "metadata": {
                "name": self._config.node_name,
                "namespace": LEASE_NAMESPACE,
                "ownerReferences": [owner],
            },
            "spec": spec,
        }
        try:
            await self._client.create(LEASES, lease, namespace=LEASE_NAMESPACE)
        except ApiError as error:
            if error.code != 409:
                raise

    async def _facts(self) -> NodeFacts:
        pressure: Pressure = await asyncio.to_thread(
            read_pressure, self._config.root_dir, self._config.image_dir
        )
        thresholds, now_s = self._context.thresholds, clock.monotonic_s()
        _ = thresholds.look(pressure, now_s)
        try:
            if not self._runtime_version:
                version = await self._context.runtime.version()
                self._context.runtime_name = version["runtime_name"]
                self._context.runtime_version = version["runtime_version"]
                self._runtime_version = f"{version['runtime_name']}://{version['runtime_version']}"
            if self._images_stale:
                self._image_list = await self._images.list_images()
                self._images_stale = False
        except RuntimeFailure as error:
            log.warning("runtime cannot be asked", extra={"error": str(error)})
        return NodeFacts(
            config=self._config,
            machine=self._context.machine,
            pressure=pressure,
            now_s=clock.wall_s(),
            runtime_version=self._runtime_version or "unknown://unknown",
            port=self.port,
            not_ready=self._shutdown or self._runtime_error or ("" if self._configured else _NO_CIDR),
            images=self._image_list,
            under_pressure=thresholds.conditions(now_s),
            volumes_in_use=() if self.volumes_in_use is None else self.volumes_in_use(),
            devices={} if self.devices is None else self.devices.capacity(),
            healthy_devices={} if self.devices is None else self.devices.allocatable(),
        )

    async def _report(self) -> None:
        facts = await self._facts()
        node = self.node
        old = (node.get("status") if node is not None else None) or self._sent
        new = node_status(facts, old)
        now_s = clock.monotonic_s()
        patch = changed_parts(self._sent, new)
        if not patch and now_s < self._reported_s + REPORT_S:
            return
        body = {"status": {**patch, "conditions": new["conditions"]}}
        answer = await self._client.patch(
            NODES, self._config.node_name, body, patch_type=PatchType.STRATEGIC, subresource="status"
        )
        self._reported_s = now_s
        self._sent = answer.get("status") or new
        self._tell_changes(new["conditions"])

    def _tell_changes(self, conditions: Sequence[JsonObject]) -> None:
        """Record an Event for every condition that changed."""
        for condition in conditions:
            kind, status = condition["type"], condition["status"]
            before = self._told.get(kind)
            self._told[kind] = status
            if status == before or (kind == "Ready" and before is None and status == "False"):
                continue
            if kind == "Ready":
                reason = "NodeReady" if status == "True" else "NodeNotReady"
            else:
                reason = condition["reason"].replace("Kubelet", "Node", 1)
            message = f"Node {self._config.node_name} status is now: {reason}"
            self._context.recorder.event(self._reference, NORMAL, reason, message)


def _decisive(node: JsonObject) -> tuple[object, object]:
    """Return what of the Node others write and the kubelet acts on: the pods' range, and resources that it does not know."""
    return node_ranges(node), (node.get("status") or {}).get("capacity")

"""What all pod workers of a node share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from k3py.kubelet.metrics import KubeletMetrics
from k3py.kubelet.thresholds import ThresholdWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from k3py.client.interface import Client, Lister
    from k3py.jsontypes import JsonObject
    from k3py.kubelet.cgroups import CgroupTree
    from k3py.kubelet.config import KubeletConfig
    from k3py.kubelet.csi.volumes import CsiVolumes
    from k3py.kubelet.devices import PodDevices
    from k3py.kubelet.images import ImageManager
    from k3py.kubelet.machine import Machine
    from k3py.kubelet.objects import ReferencedObjects
    from k3py.kubelet.recording import Recorder
    from k3py.kubelet.volumes.interface import Mounter
    from k3py.network.interface import PolicyEnforcer
    from k3py.runtime.interface import RuntimeService


@dataclass(slots=True, kw_only=True)
class NodeContext:
    """Services and facts of the node.

    allocatable: the node's allocatable resources, for the downward API.
    thresholds: what must stay free, and whether it does.
    metrics: what is counted.
    runtime_name: as in "containerd://<id>".
    owners: uid of the pod by id of its sandboxes and containers, for runtime events.
    policy_enforcer: what has to know a new pod's addresses before its containers start; None = nobody.
    network_ready: pods that are not on the host network may get sandboxes.
    cpus_changed: set when the CPUs that containers share have changed.
    csi: volumes of CSI drivers, None = a node without them.
    devices: devices of plugins and claimed ones, None = a node without them.
    given_to_others: what the pods of the node but one (by uid) have been given; room_made: call when a pod needs less than before.
    is_shutting_down: whether the machine is about to go: no pod begins any more.
    """

    config: KubeletConfig
    client: Client
    recorder: Recorder
    runtime: RuntimeService
    images: ImageManager
    objects: ReferencedObjects
    services: Lister
    cgroups: CgroupTree | None
    mounter: Mounter
    machine: Machine
    thresholds: ThresholdWatch = field(default_factory=ThresholdWatch)
    metrics: KubeletMetrics = field(default_factory=KubeletMetrics)
    allocatable: Mapping[str, str] = field(default_factory=dict)
    runtime_name: str = "containerd"
    runtime_version: str = ""
    owners: dict[str, str] = field(default_factory=dict)
    policy_enforcer: PolicyEnforcer | None = None
    network_ready: bool = False
    cpus_changed: asyncio.Event = field(default_factory=asyncio.Event)
    csi: CsiVolumes | None = None
    devices: PodDevices | None = None
    given_to_others: Callable[[str], Sequence[JsonObject]] = lambda _: ()
    is_shutting_down: Callable[[], bool] = lambda: False
    room_made: Callable[[], None] = lambda: None

    def services_of(self, namespace: str) -> Sequence[JsonObject]:
        """Return the services that a pod of a namespace sees in its environment."""
        own = list(self.services.list(namespace))
        if namespace != "default":
            api = self.services.find("default", "kubernetes")
            if api is not None:
                return [api, *own]
        return own

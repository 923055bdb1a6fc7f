"""A node as plugins see it: the object, the pods on it and the sums over them, kept up to date by `k3py.scheduler.cache`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from k3py.scheduler.affinity_terms import PodAffinity, parse_affinity
from k3py.scheduler.resources import Resources, pod_resources, read_resources

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from k3py.jsontypes import JsonObject

HostPort = tuple[str, str, int]  # address, protocol, port

_HARD = ("NoSchedule", "NoExecute")


class PodInfo:
    """A pod with what is summed and parsed of it, computed once. READ-ONLY.

    Attributes:
        scoring: (cpu millis, memory bytes) with defaults for containers that ask for nothing.
        group: equal for pods that selectors cannot tell apart: namespace, labels, whether it is going.
        affinity_group: equal for pods with equal pod affinity in a namespace; None without any.
    """

    __slots__ = (
        "affinity",
        "affinity_group",
        "group",
        "host_ports",
        "labels",
        "namespace",
        "pod",
        "priority",
        "requests",
        "scoring",
        "uid",
    )

    def __init__(self, pod: JsonObject) -> None:
        self.pod = pod
        metadata, spec = pod["metadata"], pod["spec"]
        self.uid: str = metadata["uid"]
        self.namespace: str = metadata["namespace"]
        self.labels: Mapping[str, str] = metadata.get("labels") or {}
        self.priority = int(spec.get("priority") or 0)
        self.requests, self.scoring = pod_resources(pod)
        self.host_ports = frozenset(host_ports_of(pod))
        self.group = (frozenset(self.labels.items()), "deletionTimestamp" in metadata)
        self.affinity: PodAffinity | None = parse_affinity(pod)
        self.affinity_group: tuple[str, frozenset[tuple[str, str]], bytes] | None = None
        if self.affinity is not None:
            self.affinity_group = (self.namespace, self.group[0], orjson.dumps(spec["affinity"]))

    @property
    def is_going(self) -> bool:
        """Say whether the pod is being deleted."""
        return self.group[1]


class NodeInfo:
    """See the module. `requested` counts what pods ask for, `scored_cpu`/`scored_memory` with defaults for scoring."""

    __slots__ = (
        "allocatable",
        "hard_taints",
        "host_ports",
        "images",
        "labels",
        "name",
        "node",
        "pods",
        "requested",
        "scored_cpu",
        "scored_memory",
        "soft_taints",
        "unschedulable",
    )

    def __init__(self, node: JsonObject | None = None) -> None:
        self.node: JsonObject = {}
        self.name = ""
        self.labels: Mapping[str, str] = {}
        self.allocatable: Resources = {}
        self.requested: Resources = {}
        self.scored_cpu = 0
        self.scored_memory = 0
        self.pods: dict[str, PodInfo] = {}
        self.host_ports: dict[HostPort, int] = {}
        self.images: dict[str, int] = {}
        self.hard_taints: tuple[JsonObject, ...] = ()
        self.soft_taints: tuple[JsonObject, ...] = ()
        self.unschedulable = False
        if node is not None:
            self.set_node(node)

    def set_node(self, node: JsonObject) -> None:
        """Take a new state of the node object."""
        spec, status, metadata = node.get("spec") or {}, node.get("status") or {}, node["metadata"]
        self.node = node
        self.name = metadata["name"]
        self.labels = metadata.get("labels") or {}
        self.allocatable = read_resources(status.get("allocatable"))
        taints = spec.get("taints") or ()
        self.hard_taints = tuple(one for one in taints if one["effect"] in _HARD)
        self.soft_taints = tuple(one for one in taints if one["effect"] == "PreferNoSchedule")
        self.unschedulable = bool(spec.get("unschedulable"))
        self.images = dict(_images_of(status))

    def unset_node(self) -> None:
        """Forget the node object; pods stay."""
        self.node = {}
        self.name = ""
        self.labels = {}

    def copy(self) -> NodeInfo:
        """Return one whose pods may be added and removed without changing this one."""
        other = NodeInfo()
        for slot in NodeInfo.__slots__:
            value: Any = getattr(self, slot)
            setattr(other, slot, dict(value) if slot in ("pods", "requested", "host_ports") else value)
        return other

    def add(self, info: PodInfo) -> None:
        """Count a pod in."""
        self.pods[info.uid] = info
        self._count(info, 1)

    def remove(self, uid: str) -> PodInfo | None:
        """Count a pod out, if it was in; return it."""
        info = self.pods.pop(uid, None)
        if info is not None:
            self._count(info, -1)
        return info

    def _count(self, info: PodInfo, sign: int) -> None:
        requested = self.requested
        for name, amount in info.requests.items():
            requested[name] = requested.get(name, 0) + sign * amount
        self.scored_cpu += sign * info.scoring[0]
        self.scored_memory += sign * info.scoring[1]
        for port in info.host_ports:
            left = self.host_ports.get(port, 0) + sign
            if left:
                self.host_ports[port] = left
            else:
                self.host_ports.pop(port, None)


def _images_of(status: JsonObject) -> Iterable[tuple[str, int]]:
    for image in status.get("images") or ():
        for name in image.get("names") or ():
            yield name, int(image.get("sizeBytes") or 0)


def host_ports_of(pod: JsonObject) -> Iterable[HostPort]:
    """Yield the host ports that the pod's containers and sidecars bind."""
    spec = pod["spec"]
    for field, sidecars_only in (("containers", False), ("initContainers", True)):
        for container in spec.get(field) or ():
            if sidecars_only and container.get("restartPolicy") != "Always":
                continue
            for port in container.get("ports") or ():
                if port.get("hostPort"):
                    address = port.get("hostIP") or "0.0.0.0"  # noqa: S104 - upstream's spelling of "all addresses"
                    yield address, port.get("protocol", "TCP"), int(port["hostPort"])

"""A node as plugins see it: the object, the pods on it and the sums over them, kept up to date by `k3py.scheduler.cache`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.scheduler.resources import Resources, read_resources, requests_of, scoring_requests_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.jsontypes import JsonObject

HostPort = tuple[str, str, int]  # address, protocol, port


class PodInfo:
    """A pod with what is summed about it, computed once."""

    __slots__ = ("host_ports", "pod", "requests", "scoring")

    def __init__(self, pod: JsonObject) -> None:
        self.pod = pod
        self.requests = requests_of(pod)
        self.scoring = scoring_requests_of(pod)
        self.host_ports = frozenset(host_ports_of(pod))


class NodeInfo:
    """See the module. `requested` counts what pods ask for, `scored_cpu`/`scored_memory` with defaults for scoring."""

    __slots__ = ("allocatable", "host_ports", "node", "pods", "requested", "scored_cpu", "scored_memory")

    def __init__(self, node: JsonObject | None = None) -> None:
        self.node: JsonObject | None = None
        self.allocatable: Resources = {}
        self.requested: Resources = {}
        self.scored_cpu = 0
        self.scored_memory = 0
        self.pods: dict[str, PodInfo] = {}
        self.host_ports: dict[HostPort, int] = {}
        if node is not None:
            self.set_node(node)

    @property
    def name(self) -> str:
        """Return the node's name."""
        return "" if self.node is None else str(self.node["metadata"]["name"])

    def set_node(self, node: JsonObject) -> None:
        """Take a new state of the node object."""
        self.node = node
        self.allocatable = read_resources((node.get("status") or {}).get("allocatable"))

    def add(self, info: PodInfo) -> None:
        """Count a pod in."""
        self.pods[info.pod["metadata"]["uid"]] = info
        self._count(info, 1)

    def remove(self, uid: str) -> None:
        """Count a pod out, if it was in."""
        info = self.pods.pop(uid, None)
        if info is not None:
            self._count(info, -1)

    def _count(self, info: PodInfo, sign: int) -> None:
        for name, amount in info.requests.items():
            self.requested[name] = self.requested.get(name, 0) + sign * amount
        self.scored_cpu += sign * info.scoring[0]
        self.scored_memory += sign * info.scoring[1]
        for port in info.host_ports:
            left = self.host_ports.get(port, 0) + sign
            if left:
                self.host_ports[port] = left
            else:
                self.host_ports.pop(port, None)


def host_ports_of(pod: JsonObject) -> Iterable[HostPort]:
    """Yield the host ports that the pod's containers and sidecars bind."""
    spec = pod["spec"]
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    for container in [*(spec.get("containers") or ()), *sidecars]:
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                address = port.get("hostIP") or "0.0.0.0"  # noqa: S104 - upstream's spelling of "all addresses"
                yield address, port.get("protocol", "TCP"), int(port["hostPort"])

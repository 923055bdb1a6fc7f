"""Host ports must be free. Source: kubernetes/pkg/scheduler/framework/plugins/nodeports v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.scheduler.interface import PodFilter, Refusal
from k3py.scheduler.node_info import host_ports_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from k3py.jsontypes import JsonObject
    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.interface import ClusterEvent, Interest
    from k3py.scheduler.node_info import HostPort, NodeInfo, PodInfo

_ANY: Final = "0.0.0.0"  # noqa: S104 - upstream's spelling of "all addresses"
_REFUSAL: Final = Refusal("node(s) didn't have free ports for the requested pod ports")


class NodePorts:
    """See the module."""

    NAME = "NodePorts"
    INTERESTS: frozenset[Interest] = frozenset({("nodes", "add"), ("pods", "delete")})

    def prepare(self, pod: PodInfo, cluster: SchedulerCache) -> PodFilter | Refusal | None:
        """Have nothing to do for pods without host ports."""
        return _Ports(pod.host_ports) if pod.host_ports else None

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """A pod that goes and had one of the ports, or a new node, helps."""
        if event.resource == "nodes":
            return True
        freed = tuple(host_ports_of(event.old or {"spec": {}}))
        return any(_clash(one, other) for one in host_ports_of(pod) for other in freed)


class _Ports(PodFilter):
    __slots__ = ("_wanted",)

    def __init__(self, wanted: Collection[HostPort]) -> None:
        super().__init__()
        self._wanted = wanted

    def check(self, node: NodeInfo) -> Refusal | None:
        if node.host_ports and any(_clash(one, taken) for one in self._wanted for taken in node.host_ports):
            return _REFUSAL
        return None


def _clash(one: HostPort, other: HostPort) -> bool:
    """Say whether two ports exclude each other; 0.0.0.0 clashes with every address."""
    return one[1:] == other[1:] and (one[0] == other[0] or _ANY in (one[0], other[0]))

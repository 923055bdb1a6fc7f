"""Host ports must be free. Source: kubernetes/pkg/scheduler/framework/plugins/nodeports v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.scheduler.interface import Refusal
from k3py.scheduler.node_info import host_ports_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.jsontypes import JsonObject
    from k3py.scheduler.interface import ClusterEvent, CycleState
    from k3py.scheduler.node_info import HostPort, NodeInfo

_ANY: Final = "0.0.0.0"  # noqa: S104 - upstream's spelling of "all addresses"


class NodePorts:
    """See the module."""

    NAME = "NodePorts"

    def pre_filter(self, state: CycleState, pod: JsonObject) -> Refusal | None:
        """Collect the pod's host ports."""
        state.data[self.NAME] = tuple(host_ports_of(pod))
        return None

    def filter(self, state: CycleState, pod: JsonObject, node: NodeInfo) -> Refusal | None:
        """Refuse nodes where a port is taken; 0.0.0.0 clashes with every address."""
        wanted: Iterable[HostPort] = state.data[self.NAME]
        if any(_clash(one, taken) for one in wanted for taken in node.host_ports):
            return Refusal("node(s) didn't have free ports for the requested pod ports")
        return None

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """A pod with host ports that goes, or a new node, helps."""
        if event.resource == "node":
            return event.kind == "add"
        return (
            event.kind == "delete" and event.old is not None and any(True for _ in host_ports_of(event.old))
        )


def _clash(one: HostPort, other: HostPort) -> bool:
    return one[1:] == other[1:] and (one[0] == other[0] or _ANY in (one[0], other[0]))

"""Matches spec.nodeName. Source: kubernetes/pkg/scheduler/framework/plugins/nodename v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.scheduler.interface import PodFilter, Refusal

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject
    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.interface import ClusterEvent, Interest
    from k3py.scheduler.node_info import NodeInfo, PodInfo


class NodeName:
    """See the module."""

    NAME = "NodeName"
    INTERESTS: frozenset[Interest] = frozenset({("nodes", "add")})

    def prepare(self, pod: PodInfo, cluster: SchedulerCache) -> PodFilter | Refusal | None:
        """Have nothing to do for pods that ask for no node by name."""
        wanted = pod.pod["spec"].get("nodeName", "")
        return _OneNode(wanted) if wanted else None

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """The node that is asked for helps."""
        return event.new is not None and event.new["metadata"]["name"] == pod["spec"].get("nodeName")


class _OneNode(PodFilter):
    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def check(self, node: NodeInfo) -> Refusal | None:
        if node.name != self._name:
            return Refusal("node(s) didn't match the requested node name", final=True)
        return None

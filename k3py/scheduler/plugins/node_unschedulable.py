"""Keeps pods off cordoned nodes. Source: kubernetes/pkg/scheduler/framework/plugins/nodeunschedulable v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.taints import tolerates_any
from k3py.scheduler.interface import PodFilter, Refusal

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject
    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.interface import ClusterEvent, Interest
    from k3py.scheduler.node_info import NodeInfo, PodInfo

_TAINT: Final = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
_REFUSAL: Final = Refusal("node(s) were unschedulable", final=True)


class NodeUnschedulable:
    """See the module."""

    NAME = "NodeUnschedulable"
    INTERESTS: frozenset[Interest] = frozenset({("nodes", "add"), ("nodes", "update")})

    def prepare(self, pod: PodInfo, cluster: SchedulerCache) -> PodFilter | Refusal | None:
        """Have nothing to do for pods that tolerate cordons."""
        return None if tolerates_any(pod.pod, _TAINT) else _Cordons()

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """A node that comes or is not cordoned any more helps."""
        return event.new is not None and not (event.new.get("spec") or {}).get("unschedulable")


class _Cordons(PodFilter):
    __slots__ = ()

    def check(self, node: NodeInfo) -> Refusal | None:
        return _REFUSAL if node.unschedulable else None

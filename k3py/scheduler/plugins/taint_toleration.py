"""Taints keep pods away that do not tolerate them. Source: kubernetes/pkg/scheduler/framework/plugins/tainttoleration v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.taints import count_untolerated_preferences, find_untolerated, tolerates_any
from k3py.scheduler.interface import PodFilter, Refusal
from k3py.scheduler.scoring import normalize_down

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject
    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.interface import ClusterEvent, Interest
    from k3py.scheduler.node_info import NodeInfo, PodInfo

_HARD: Final = ("NoSchedule", "NoExecute")
# Without the taint, as of v1.35: nodes with different ones are counted together.
_REFUSAL: Final = Refusal("node(s) had untolerated taint(s)", final=True)


class TaintToleration:
    """See the module."""

    NAME = "TaintToleration"
    INTERESTS: frozenset[Interest] = frozenset({("nodes", "add"), ("nodes", "update")})

    def prepare(self, pod: PodInfo, cluster: SchedulerCache) -> PodFilter | Refusal | None:
        """Look at the taints of every node."""
        return _Taints(pod.pod)

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """A node whose taints the pod tolerates now helps."""
        return event.new is not None and find_untolerated(pod, event.new, _HARD) is None

    def score(self, pod: PodInfo, cluster: SchedulerCache, nodes: Sequence[NodeInfo]) -> Sequence[int] | None:
        """Prefer nodes with few untolerated PreferNoSchedule taints."""
        if not any(node.soft_taints for node in nodes):
            return None
        return normalize_down([count_untolerated_preferences(pod.pod, node.node) for node in nodes])


class _Taints(PodFilter):
    __slots__ = ("_pod",)

    def __init__(self, pod: JsonObject) -> None:
        super().__init__()
        self._pod = pod

    def check(self, node: NodeInfo) -> Refusal | None:
        for taint in node.hard_taints:
            if not tolerates_any(self._pod, taint):
                return _REFUSAL
        return None

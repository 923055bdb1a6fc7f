"""Taints keep pods away that do not tolerate them. Source: kubernetes/pkg/scheduler/framework/plugins/tainttoleration v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.taints import count_untolerated_preferences, find_untolerated
from k3py.scheduler.interface import Refusal
from k3py.scheduler.scoring import normalize_down

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject
    from k3py.scheduler.interface import ClusterEvent, CycleState
    from k3py.scheduler.node_info import NodeInfo

_HARD: Final = ("NoSchedule", "NoExecute")


class TaintToleration:
    """See the module."""

    NAME = "TaintToleration"

    def filter(self, state: CycleState, pod: JsonObject, node: NodeInfo) -> Refusal | None:
        """Refuse nodes with an untolerated NoSchedule or NoExecute taint."""
        if find_untolerated(pod, node.node or {}, _HARD) is None:
            return None
        # Without the taint, as of v1.35: nodes with different ones are counted together.
        return Refusal("node(s) had untolerated taint(s)", final=True)

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """A node whose taints the pod tolerates now helps."""
        if event.resource != "node" or event.new is None:
            return False
        return find_untolerated(pod, event.new, _HARD) is None

    def score(self, state: CycleState, pod: JsonObject, node: NodeInfo) -> int:
        """Count untolerated PreferNoSchedule taints; fewer is better."""
        return count_untolerated_preferences(pod, node.node or {})

    def normalize(self, scores: Sequence[int]) -> Sequence[int]:
        """Turn counts into 0..100, most taints 0."""
        return normalize_down(scores)

"""nodeSelector and node affinity. Source: kubernetes/pkg/scheduler/framework/plugins/nodeaffinity v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.node_affinity import node_affinity_of, selects, term_matches
from k3py.scheduler.interface import Refusal
from k3py.scheduler.scoring import normalize_up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject
    from k3py.scheduler.interface import ClusterEvent, CycleState
    from k3py.scheduler.node_info import NodeInfo


class NodeAffinity:
    """See the module."""

    NAME = "NodeAffinity"

    def filter(self, state: CycleState, pod: JsonObject, node: NodeInfo) -> Refusal | None:
        """Refuse nodes that spec.nodeSelector or the required terms do not select."""
        if selects(pod, node.node or {}):
            return None
        return Refusal("node(s) didn't match Pod's node affinity/selector", final=True)

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """A node that is selected now helps."""
        return event.resource == "node" and event.new is not None and selects(pod, event.new)

    def score(self, state: CycleState, pod: JsonObject, node: NodeInfo) -> int:
        """Sum the weights of the preferred terms that select the node."""
        preferred = node_affinity_of(pod).get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        return sum(
            int(one["weight"]) for one in preferred if term_matches(one["preference"], node.node or {})
        )

    def normalize(self, scores: Sequence[int]) -> Sequence[int]:
        """Scale to 0..100."""
        return normalize_up(scores)

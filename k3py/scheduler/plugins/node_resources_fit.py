"""Requests must fit into what a node has left; the emptier node is better (LeastAllocated).

Source: kubernetes/pkg/scheduler/framework/plugins/noderesources/{fit,least_allocated}.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.scheduler.interface import Refusal
from k3py.scheduler.resources import read_resources, requests_of, scoring_requests_of
from k3py.scheduler.scoring import MAX_SCORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject
    from k3py.scheduler.interface import ClusterEvent, CycleState
    from k3py.scheduler.node_info import NodeInfo


class NodeResourcesFit:
    """See the module."""

    NAME = "NodeResourcesFit"

    def pre_filter(self, state: CycleState, pod: JsonObject) -> Refusal | None:
        """Compute the requests once."""
        state.data[self.NAME] = (requests_of(pod), scoring_requests_of(pod))
        return None

    def filter(self, state: CycleState, pod: JsonObject, node: NodeInfo) -> Refusal | None:
        """Refuse nodes with too little of anything; all shortages are named."""
        short = []
        too_big = False
        for name, amount in state.data[self.NAME][0].items():
            has = node.allocatable.get(name, 0)
            if amount and amount > has - node.requested.get(name, 0):
                short.append("Too many pods" if name == "pods" else f"Insufficient {name}")
                too_big = too_big or amount > has
        return Refusal(", ".join(short), final=too_big) if short else None

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """A pod that goes or ends frees something; so may a node that grows."""
        if event.resource == "pod":
            return event.kind == "delete"
        if event.new is None:
            return False
        has = read_resources((event.new.get("status") or {}).get("allocatable"))
        if any(amount > has.get(name, 0) for name, amount in requests_of(pod).items()):
            return False
        if event.old is None:
            return True
        had = read_resources((event.old.get("status") or {}).get("allocatable"))
        return any(amount > had.get(name, 0) for name, amount in has.items())

    def score(self, state: CycleState, pod: JsonObject, node: NodeInfo) -> int:
        """Return the mean share of cpu and memory that would be left, 0..100."""
        cpu, memory = state.data[self.NAME][1]
        parts = [
            _left(node.scored_cpu + cpu, node.allocatable.get("cpu", 0)),
            _left(node.scored_memory + memory, node.allocatable.get("memory", 0)),
        ]
        counted = [one for one in parts if one is not None]
        return sum(counted) // len(counted) if counted else 0

    def normalize(self, scores: Sequence[int]) -> Sequence[int]:
        """Scores are 0..100 already."""
        return scores


def _left(used: int, has: int) -> int | None:
    if has == 0:
        return None
    return 0 if used > has else (has - used) * MAX_SCORE // has

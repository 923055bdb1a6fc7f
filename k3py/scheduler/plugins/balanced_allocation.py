"""Nodes whose cpu and memory are used in like shares are better.

Source: kubernetes/pkg/scheduler/framework/plugins/noderesources/balanced_allocation.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.scheduler.resources import requests_of
from k3py.scheduler.scoring import MAX_SCORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject
    from k3py.scheduler.interface import CycleState
    from k3py.scheduler.node_info import NodeInfo


class BalancedAllocation:
    """See the module. Pods without requests are left out, since they change no share."""

    NAME = "NodeResourcesBalancedAllocation"

    def score(self, state: CycleState, pod: JsonObject, node: NodeInfo) -> int:
        """Return 100 for equal shares of cpu and memory, less the further they are apart."""
        asked = state.data.get(self.NAME)
        if asked is None:
            asked = state.data[self.NAME] = requests_of(pod)
        if not asked.get("cpu") and not asked.get("memory"):
            return 0
        shares = [
            min(1.0, (node.requested.get(name, 0) + asked.get(name, 0)) / node.allocatable[name])
            for name in ("cpu", "memory")
            if node.allocatable.get(name)
        ]
        spread = abs(shares[0] - shares[1]) / 2 if len(shares) == 2 else 0.0
        return int((1 - spread) * MAX_SCORE)

    def normalize(self, scores: Sequence[int]) -> Sequence[int]:
        """Scores are 0..100 already."""
        return scores

"""Nodes whose resources are used in like shares are better.

Source: kubernetes/pkg/scheduler/framework/plugins/noderesources/balanced_allocation.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.scheduler.scoring import MAX_SCORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.node_info import NodeInfo, PodInfo


class BalancedAllocation:
    """See the module.

    Args:
        resources: whose shares are compared.
    """

    NAME = "NodeResourcesBalancedAllocation"

    def __init__(self, resources: tuple[str, ...] = ("cpu", "memory")) -> None:
        self._resources = resources

    def score(self, pod: PodInfo, cluster: SchedulerCache, nodes: Sequence[NodeInfo]) -> Sequence[int] | None:
        """Return 100 for equal shares, less the further they are apart; a pod without requests changes none."""
        asked = [(name, pod.requests.get(name, 0)) for name in self._resources]
        if not any(amount for _, amount in asked):
            return None
        scores = []
        for node in nodes:
            has, used = node.allocatable, node.requested
            shares = [
                min(1.0, (used.get(name, 0) + amount) / has[name]) for name, amount in asked if has.get(name)
            ]
            scores.append(int((1 - _spread(shares)) * MAX_SCORE))
        return scores


def _spread(shares: Sequence[float]) -> float:
    """Return the standard deviation."""
    if len(shares) == 2:
        return abs(shares[0] - shares[1]) / 2
    if len(shares) < 2:
        return 0.0
    mean = sum(shares) / len(shares)
    return float((sum((one - mean) ** 2 for one in shares) / len(shares)) ** 0.5)

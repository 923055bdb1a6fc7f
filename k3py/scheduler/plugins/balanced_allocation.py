"""Nodes whose resources are used in like shares are better.

Source: kubernetes/pkg/scheduler/framework/plugins/noderesources/balanced_allocation.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.scheduler.scoring import MAX_SCORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.node_info import NodeInfo, PodInfo


_DEFAULT: Final = ("cpu", "memory")


class BalancedAllocation:
    """See the module.

    Args:
        resources: whose shares are compared.
    """

    NAME = "NodeResourcesBalancedAllocation"

    def __init__(self, resources: tuple[str, ...] = _DEFAULT) -> None:
        self._resources = resources

    def score(self, pod: PodInfo, cluster: SchedulerCache, nodes: Sequence[NodeInfo]) -> Sequence[int] | None:
        """Return 100 for equal shares, less the further they are apart; a pod without requests changes none."""
        asked = [(name, pod.requests.get(name, 0)) for name in self._resources]
        if not any(amount for _, amount in asked):
            return None
        if self._resources == _DEFAULT:
            return _score_default(asked[0][1], asked[1][1], nodes)
        scores = []
        for node in nodes:
            has, used = node.allocatable, node.requested
            shares = [
                min(1.0, (used.get(name, 0) + amount) / has[name]) for name, amount in asked if has.get(name)
            ]
            scores.append(int((1 - _spread(shares)) * MAX_SCORE))
        return scores


def _score_default(cpu: int, memory: int, nodes: Sequence[NodeInfo]) -> list[int]:
    """Do the same for two resources, kept short for its speed."""
    scores = []
    for node in nodes:
        has, used = node.allocatable, node.requested
        has_cpu, has_memory = has.get("cpu"), has.get("memory")
        if not has_cpu or not has_memory:
            scores.append(MAX_SCORE)
            continue
        cpu_share = (used.get("cpu", 0) + cpu) / has_cpu
        memory_share = (used.get("memory", 0) + memory) / has_memory
        spread = (cpu_share if cpu_share < 1 else 1.0) - (memory_share if memory_share < 1 else 1.0)
        scores.append(int((1 - abs(spread) / 2) * MAX_SCORE))
    return scores


def _spread(shares: Sequence[float]) -> float:
    """Return the standard deviation."""
    if len(shares) == 2:
        return abs(shares[0] - shares[1]) / 2
    if len(shares) < 2:
        return 0.0
    mean = sum(shares) / len(shares)
    return float((sum((one - mean) ** 2 for one in shares) / len(shares)) ** 0.5)

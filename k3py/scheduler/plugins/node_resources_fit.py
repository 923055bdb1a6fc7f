"""Requests must fit into what a node has left; which of the fitting nodes is best is a strategy's choice.

Source: kubernetes/pkg/scheduler/framework/plugins/noderesources/{fit,least_allocated,most_allocated,requested_to_capacity_ratio}.go
v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from k3py.scheduler.interface import PodFilter, Refusal
from k3py.scheduler.resources import Resources, read_resources, requests_of
from k3py.scheduler.scoring import MAX_SCORE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from k3py.jsontypes import JsonObject
    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.interface import ClusterEvent, Interest
    from k3py.scheduler.node_info import NodeInfo, PodInfo

Strategy = Literal["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"]
_DEFAULT_WEIGHTS: Final = (("cpu", 1), ("memory", 1))
_MAX_UTILIZATION: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FitArguments:
    """NodeResourcesFitArgs.

    Attributes:
        resources: (name, weight).
        shape: (utilization 0..100, score 0..10) of RequestedToCapacityRatio, by rising utilization.
    """

    strategy: Strategy = "LeastAllocated"
    resources: tuple[tuple[str, int], ...] = _DEFAULT_WEIGHTS
    shape: tuple[tuple[int, int], ...] = ()
    ignored: frozenset[str] = field(default=frozenset())
    ignored_groups: frozenset[str] = field(default=frozenset())


class NodeResourcesFit:
    """See the module."""

    NAME = "NodeResourcesFit"
    INTERESTS: frozenset[Interest] = frozenset(
        {("nodes", "add"), ("nodes", "update"), ("pods", "delete"), ("pods", "update")}
    )

    def __init__(self, arguments: FitArguments | None = None) -> None:
        self._arguments = arguments or FitArguments()

    def prepare(self, pod: PodInfo, cluster: SchedulerCache) -> PodFilter | Refusal | None:
        """Leave out what is not asked for."""
        return _Room([(name, n) for name, n in pod.requests.items() if n and not self._is_ignored(name)])

    def _is_ignored(self, name: str) -> bool:
        group, slash, _ = name.partition("/")
        return name in self._arguments.ignored or bool(slash and group in self._arguments.ignored_groups)

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """A pod that goes, ends or shrinks frees something; so may a node that grows."""
        asked = requests_of(pod)
        if event.resource == "pods":
            freed = requests_of(event.old or {"spec": {}})
            if event.kind == "update" and event.new is not None:
                now = requests_of(event.new)
                return any(freed.get(name, 0) > now.get(name, 0) for name, amount in asked.items() if amount)
            return any(freed.get(name) for name, amount in asked.items() if amount)
        if event.new is None:
            return False
        has = read_resources((event.new.get("status") or {}).get("allocatable"))
        if any(amount > has.get(name, 0) for name, amount in asked.items() if not self._is_ignored(name)):
            return False
        if event.old is None:
            return True
        had = read_resources((event.old.get("status") or {}).get("allocatable"))
        return any(amount > had.get(name, 0) for name, amount in has.items())

    def score(self, pod: PodInfo, cluster: SchedulerCache, nodes: Sequence[NodeInfo]) -> Sequence[int] | None:
        """Score by the strategy of the profile."""
        arguments = self._arguments
        if arguments.strategy == "LeastAllocated" and arguments.resources == _DEFAULT_WEIGHTS:
            return _score_least(pod, nodes)
        rate = _RATES.get(arguments.strategy) or _shape_rate(arguments.shape)
        return [_score(pod, node, arguments.resources, rate) for node in nodes]


class _Room(PodFilter):
    __slots__ = ("_asked",)

    def __init__(self, asked: Collection[tuple[str, int]]) -> None:
        super().__init__()
        self._asked = asked

    def check(self, node: NodeInfo) -> Refusal | None:
        """Refuse nodes with too little of anything; all shortages are named."""
        has, used = node.allocatable, node.requested
        for name, amount in self._asked:
            if amount > has.get(name, 0) - used.get(name, 0):
                return self._explain(has, used)
        return None

    def _explain(self, has: Resources, used: Resources) -> Refusal:
        short = []
        too_big = False
        for name, amount in self._asked:
            if amount > has.get(name, 0) - used.get(name, 0):
                short.append("Too many pods" if name == "pods" else f"Insufficient {name}")
                too_big = too_big or amount > has.get(name, 0)
        return Refusal(", ".join(short), final=too_big)


def _score_least(pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[int]:
    """Return the mean share of cpu and memory that would be left, 0..100: the default, kept short for its speed."""
    cpu, memory = pod.scoring
    scores = []
    for node in nodes:
        has_cpu, has_memory = node.allocatable.get("cpu", 0), node.allocatable.get("memory", 0)
        total = parts = 0
        if has_cpu:
            parts = 1
            left = has_cpu - node.scored_cpu - cpu
            if left > 0:
                total = left * MAX_SCORE // has_cpu
        if has_memory:
            parts += 1
            left = has_memory - node.scored_memory - memory
            if left > 0:
                total += left * MAX_SCORE // has_memory
        scores.append(total // parts if parts else 0)
    return scores


def _score(
    pod: PodInfo, node: NodeInfo, resources: Sequence[tuple[str, int]], rate: Callable[[int, int], int]
) -> int:
    total = weights = 0
    for name, weight in resources:
        has = node.allocatable.get(name, 0)
        asked = pod.requests.get(name, 0)
        if name == "cpu":
            used = node.scored_cpu + pod.scoring[0]
        elif name == "memory":
            used = node.scored_memory + pod.scoring[1]
        elif not asked:
            continue  # what the pod does not ask for says nothing about it
        else:
            used = node.requested.get(name, 0) + asked
        if not has:
            continue
        total += weight * rate(used, has)
        weights += weight
    return total // weights if weights else 0


def _rate_least(used: int, has: int) -> int:
    return 0 if used > has else (has - used) * MAX_SCORE // has


def _rate_most(used: int, has: int) -> int:
    return min(used, has) * MAX_SCORE // has


_RATES: Final = {"LeastAllocated": _rate_least, "MostAllocated": _rate_most}


def _shape_rate(shape: Sequence[tuple[int, int]]) -> Callable[[int, int], int]:
    """Return the rate that follows a line through `shape`, whose scores 0..10 become 0..100."""
    points = [(utilization, score * MAX_SCORE // 10) for utilization, score in shape]

    def rate(used: int, has: int) -> int:
        utilization = _MAX_UTILIZATION if used > has else used * _MAX_UTILIZATION // has
        before: tuple[int, int] | None = None
        for at, score in points:
            if utilization <= at:
                if before is None:
                    return score
                return before[1] + (score - before[1]) * (utilization - before[0]) // (at - before[0])
            before = (at, score)
        return points[-1][1] if points else 0

    return rate

"""One scheduling cycle: pure, from a pod and the nodes to a choice or to the reasons against it.

Source: kubernetes/pkg/scheduler/schedule_one.go v1.35.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3py.scheduler.interface import CycleState

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject
    from k3py.scheduler.interface import Refusal
    from k3py.scheduler.node_info import NodeInfo
    from k3py.scheduler.registry import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A node's name, or "" with the message for event and condition and the plugins that refused."""

    node_name: str = ""
    message: str = ""
    refused_by: frozenset[str] = frozenset()


def nodes_to_find(total: int) -> int:
    """Return after how many fitting nodes the search may stop (adaptive percentage)."""
    if total < 100:
        return total
    return max(100, total * max(5, 50 - total // 125) // 100)


class Framework:
    """Runs a profile's plugins; remembers where the search for nodes went on last time."""

    def __init__(self, profile: Profile, choose: random.Random) -> None:
        self._profile = profile
        self._choose = choose
        self._start = 0

    def schedule(self, pod: JsonObject, nodes: Sequence[NodeInfo]) -> Outcome:
        """Find the best node for a pod."""
        if not nodes:
            return Outcome(message="no nodes available to schedule pods", refused_by=self._all_filters())
        state = CycleState()
        for plugin in self._profile.pre_filter:
            refusal = plugin.pre_filter(state, pod)
            if refusal is not None:
                message = f"0/{len(nodes)} nodes are available: {refusal.reason}."
                return Outcome(message=message, refused_by=frozenset((plugin.NAME,)))
        fitting, refusals, refused_by = self._filter(state, pod, nodes)
        if not fitting:
            return Outcome(message=_explain(len(nodes), refusals), refused_by=refused_by)
        if len(fitting) == 1:
            return Outcome(node_name=fitting[0].name)
        return Outcome(node_name=self._pick(state, pod, fitting))

    def _all_filters(self) -> frozenset[str]:
        return frozenset(plugin.NAME for plugin in self._profile.filter)

    def _filter(
        self, state: CycleState, pod: JsonObject, nodes: Sequence[NodeInfo]
    ) -> tuple[list[NodeInfo], list[Refusal], frozenset[str]]:
        fitting: list[NodeInfo] = []
        refusals: list[Refusal] = []
        refused_by: set[str] = set()
        enough, total = nodes_to_find(len(nodes)), len(nodes)
        for offset in range(total):
            node = nodes[(self._start + offset) % total]
            for plugin in self._profile.filter:
                refusal = plugin.filter(state, pod, node)
                if refusal is not None:
                    refusals.append(refusal)
                    refused_by.add(plugin.NAME)
                    break
            else:
                fitting.append(node)
                if len(fitting) >= enough:
                    break
        self._start = (self._start + len(fitting) + len(refusals)) % total
        return fitting, refusals, frozenset(refused_by)

    def _pick(self, state: CycleState, pod: JsonObject, nodes: Sequence[NodeInfo]) -> str:
        totals = [0] * len(nodes)
        for plugin, weight in self._profile.score:
            raw = [plugin.score(state, pod, node) for node in nodes]
            for index, score in enumerate(plugin.normalize(raw)):
                totals[index] += score * weight
        best = max(totals)
        return self._choose.choice(
            [node for node, total in zip(nodes, totals, strict=True) if total == best]
        ).name


def _explain(total: int, refusals: Sequence[Refusal]) -> str:
    counts = Counter(reason for one in refusals for reason in one.reason.split(", "))
    parts = sorted(f"{count} {reason}" for reason, count in counts.items())
    return f"0/{total} nodes are available: {', '.join(parts)}."

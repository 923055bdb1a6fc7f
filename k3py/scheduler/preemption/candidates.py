"""Which pods have to go, on which node, so that an important pod fits: pure.

Source: kubernetes/pkg/scheduler/framework/{preemption/preemption.go,plugins/defaultpreemption/default_preemption.go} v1.35.
"""

from __future__ import annotations

import itertools
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.selectors import selector_from_object
from k3py.scheduler.framework import Diagnosis, check_node, count_reasons
from k3py.scheduler.interface import Refusal

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

    from k3py.jsontypes import JsonObject
    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.framework import Prepared
    from k3py.scheduler.node_info import NodeInfo, PodInfo

NOT_HELPFUL: Final = "Preemption is not helpful for scheduling"
_NO_VICTIMS: Final = Refusal("No preemption victims found for incoming pod", final=True)
_PREEMPTED: Final = "PreemptionByScheduler"
_MOST_NEGATIVE: Final = 2**31


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node and who has to go there, most important first; `violations` counts those that a budget would keep."""

    node_name: str
    victims: tuple[PodInfo, ...]
    violations: int


@dataclass(frozen=True, slots=True)
class PreemptionArguments:
    """DefaultPreemptionArgs: how many nodes are tried at least."""

    percentage: int = 10
    absolute: int = 100


def find_ineligibility(pod: PodInfo, cluster: SchedulerCache, diagnosis: Diagnosis) -> str:
    """Return why the pod may not preempt, "" when it may."""
    if pod.pod["spec"].get("preemptionPolicy") == "Never":
        return "not eligible due to preemptionPolicy=Never."
    nominated = cluster.nominated_node(pod.uid)
    refusal = diagnosis.refusals.get(nominated)
    if not nominated or (refusal is not None and refusal.final):
        return ""
    node = cluster.find(nominated)
    if node is not None and any(_is_ending_victim(one, pod) for one in node.pods.values()):
        return "not eligible due to a terminating pod on the nominated node."
    return ""


def _is_ending_victim(other: PodInfo, pod: PodInfo) -> bool:
    if not other.is_going or other.priority >= pod.priority:
        return False
    conditions = (other.pod.get("status") or {}).get("conditions") or ()
    return any(
        one["type"] == "DisruptionTarget" and one["status"] == "True" and one.get("reason") == _PREEMPTED
        for one in conditions
    )


class CandidateSearch:
    """Looks for nodes where ending pods helps, some nodes a step, so that others have their turn between steps."""

    def __init__(
        self,
        pod: PodInfo,
        cluster: SchedulerCache,
        diagnosis: Diagnosis,
        budgets: Sequence[JsonObject],
        choose: random.Random,
        arguments: PreemptionArguments,
    ) -> None:
        self._pod = pod
        self._cluster = cluster
        self._diagnosis = diagnosis
        self._budgets = budgets
        nodes = [
            node
            for node in cluster.nodes()
            if (refusal := diagnosis.refusals.get(node.name)) is not None and not refusal.final
        ]
        start = choose.randrange(len(nodes)) if nodes else 0
        self._wanted = min(len(nodes), max(len(nodes) * arguments.percentage // 100, arguments.absolute))
        self._left = iter((*nodes[start:], *nodes[:start]))
        self._failures: list[str] = []
        self.found: list[Candidate] = []

    def step(self, number: int) -> bool:
        """Look at so many nodes; say whether the search is over."""
        for node in itertools.islice(self._left, number):
            result = _select_victims(self._pod, node, self._cluster, self._diagnosis.prepared, self._budgets)
            if isinstance(result, Refusal):
                self._failures.append(result.reason)
                continue
            self.found.append(result)
            if len(self.found) >= self._wanted and any(not one.violations for one in self.found):
                return True
        return operator.length_hint(self._left) == 0

    def explain(self) -> str:
        """Return why nothing was found."""
        total = self._diagnosis.total
        counted = count_reasons(self._failures, NOT_HELPFUL, total - len(self._failures))
        return f"0/{total} nodes are available: {counted}."


def _select_victims(
    pod: PodInfo,
    node: NodeInfo,
    cluster: SchedulerCache,
    prepared: Prepared,
    budgets: Sequence[JsonObject],
) -> Candidate | Refusal:
    lesser = [one for one in node.pods.values() if one.priority < pod.priority]
    if not lesser:
        return _NO_VICTIMS
    emptied, without = node.copy(), {name: one.copy() for name, one in prepared.items()}

    def leave(one: PodInfo) -> None:
        emptied.remove(one.uid)
        for each in without.values():
            each.count(one, emptied, -1)

    def come_back(one: PodInfo) -> None:
        emptied.add(one)
        for each in without.values():
            each.count(one, emptied, 1)

    for one in lesser:
        leave(one)
    refusal = check_node(without, pod, emptied, cluster)
    if refusal is not None:
        return refusal
    lesser.sort(key=_importance)
    kept_by_budget, free = split_by_budget(lesser, budgets)
    victims = []
    violations = 0
    for one in (*kept_by_budget, *free):
        come_back(one)
        if check_node(without, pod, emptied, cluster) is None:
            continue
        leave(one)
        victims.append(one)
        violations += one in kept_by_budget
    return Candidate(node.name, tuple(sorted(victims, key=_importance)), violations)


def start_of(pod: PodInfo) -> str:
    """Return since when the pod runs, as text that sorts; a pod that has not started is younger than any."""
    return str((pod.pod.get("status") or {}).get("startTime") or "9999")


def _importance(pod: PodInfo) -> tuple[int, str]:
    return -pod.priority, start_of(pod)


def split_by_budget(
    pods: Iterable[PodInfo], budgets: Sequence[JsonObject]
) -> tuple[list[PodInfo], list[PodInfo]]:
    """Split into pods whose end would break a PodDisruptionBudget, counting together, and others."""
    parsed = [
        (
            one["metadata"]["namespace"],
            selector_from_object(one["spec"].get("selector")),
            (one.get("status") or {}).get("disruptedPods") or {},
        )
        for one in budgets
    ]
    allowed = [int((one.get("status") or {}).get("disruptionsAllowed") or 0) for one in budgets]
    violating: list[PodInfo] = []
    free: list[PodInfo] = []
    for pod in pods:
        breaks = False
        for index, (namespace, selector, disrupted) in enumerate(parsed):
            if namespace != pod.namespace or not pod.labels or not selector.requirements:
                continue
            if pod.pod["metadata"]["name"] in disrupted or not selector.matches(pod.labels):
                continue
            allowed[index] -= 1
            breaks = breaks or allowed[index] < 0
        (violating if breaks else free).append(pod)
    return violating, free


def pick_candidate(candidates: Sequence[Candidate]) -> Candidate:
    """Return the node where ending pods hurts least."""

    def hurts(one: Candidate) -> tuple[int, int, int, int]:
        highest = one.victims[0].priority if one.victims else -_MOST_NEGATIVE
        total = sum(victim.priority + _MOST_NEGATIVE for victim in one.victims)
        return one.violations, highest, total, len(one.victims)

    least = min(hurts(one) for one in candidates)
    best = [one for one in candidates if hurts(one) == least]
    return max(best, key=_earliest_start)


def _earliest_start(one: Candidate) -> str:
    highest = one.victims[0].priority if one.victims else 0
    return min((start_of(victim) for victim in one.victims if victim.priority == highest), default="")

"""One scheduling cycle: from a pod and the nodes to a choice or to the reasons against it. Pure.

Source: kubernetes/pkg/scheduler/schedule_one.go v1.35.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from k3py.scheduler.interface import Refusal
from k3py.scheduler.metrics import SchedulerMetrics
from k3py.util import clock

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping, Sequence

    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.interface import PodFilter
    from k3py.scheduler.node_info import NodeInfo, PodInfo
    from k3py.scheduler.registry import Profile

Prepared = dict[str, "PodFilter"]


@dataclass(slots=True, kw_only=True)
class Diagnosis:
    """Why a pod fits nowhere.

    Attributes:
        total: how many nodes there are.
        refusals: by node; a node that is missing was not looked at, which is as final.
        refused_by: names of the plugins that refused.
        pod_refusal: what is wrong with the pod itself, wherever it goes.
        prepared: what plugins know of the pod in this cycle; empty with a pod_refusal.
    """

    total: int
    refusals: dict[str, Refusal] = field(default_factory=dict)
    refused_by: set[str] = field(default_factory=set)
    pod_refusal: str = ""
    absent_reason: str = ""
    prepared: Prepared = field(default_factory=dict)

    def message(self, addition: str = "") -> str:
        """Return it as upstream says it; `addition` tells why preemption did not help."""
        if not self.total:
            return "no nodes available to schedule pods"
        reasons = self.pod_refusal
        if not reasons:
            absent = self.total - len(self.refusals) if self.absent_reason else 0
            reasons = count_reasons(
                [one.reason for one in self.refusals.values()], self.absent_reason, absent
            )
        text = f"0/{self.total} nodes are available: {reasons}."
        return f"{text} {addition}" if addition else text


@dataclass(slots=True, kw_only=True)
class Outcome:
    """A node's name with what plugins found for it, or "" with the reasons."""

    node_name: str = ""
    prepared: Prepared = field(default_factory=dict)
    diagnosis: Diagnosis | None = None


def count_reasons(reasons: Iterable[str], absent_reason: str = "", absent: int = 0) -> str:
    """Return "2 Insufficient cpu, 1 Too many pods": equal reasons counted, in alphabetical order of the whole."""
    counts = Counter(reason for one in reasons for reason in one.split(", "))
    if absent:
        counts[absent_reason] += absent
    return ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))


def nodes_to_find(total: int, percentage: int = 0) -> int:
    """Return after how many fitting nodes the search may stop; percentage 0 adapts to the size."""
    if total < 100 or percentage >= 100:
        return total
    return max(100, total * (percentage or max(5, 50 - total // 125)) // 100)


class Framework:
    """Runs a profile's plugins; remembers where the search for nodes went on last time."""

    def __init__(
        self, profile: Profile, choose: random.Random, metrics: SchedulerMetrics | None = None
    ) -> None:
        self.profile = profile
        self._metrics = metrics or SchedulerMetrics()
        self._choose = choose
        self._start = 0

    def schedule(self, pod: PodInfo, cluster: SchedulerCache) -> Outcome:
        """Find the best node for a pod."""
        fitting, diagnosis = self.find_fitting(pod, cluster)
        if not fitting:
            return Outcome(diagnosis=diagnosis)
        chosen = fitting[0] if len(fitting) == 1 else self.pick(fitting, self.scores(pod, cluster, fitting))
        return Outcome(node_name=chosen.name, prepared=diagnosis.prepared)

    def find_fitting(self, pod: PodInfo, cluster: SchedulerCache) -> tuple[list[NodeInfo], Diagnosis]:
        """Return nodes that can run the pod (enough of them, not all), and why others cannot."""
        nodes = cluster.nodes()
        diagnosis = Diagnosis(total=len(nodes))
        if not nodes:
            diagnosis.refused_by.update(plugin.NAME for plugin in self.profile.filter)
            return [], diagnosis
        name, began_s = self.profile.name, clock.monotonic_s()
        refused = self._prepare(pod, cluster, diagnosis)
        self._metrics.observe_point(name, "PreFilter", began_s, refused=refused is not None)
        if refused is not None:
            return [], diagnosis
        began_s = clock.monotonic_s()
        fitting = self._filter(pod, cluster, nodes, diagnosis)
        self._metrics.observe_point(name, "Filter", began_s, refused=not fitting)
        return fitting, diagnosis

    def _prepare(self, pod: PodInfo, cluster: SchedulerCache, diagnosis: Diagnosis) -> Refusal | None:
        named: frozenset[str] | None = None
        namers = []
        for plugin in self.profile.filter:
            prepared = plugin.prepare(pod, cluster)
            if isinstance(prepared, Refusal):
                diagnosis.pod_refusal = prepared.reason
                diagnosis.refused_by.add(plugin.NAME)
                diagnosis.prepared.clear()
                return prepared
            if prepared is None:
                continue
            diagnosis.prepared[plugin.NAME] = prepared
            if prepared.only_nodes is not None:
                named = prepared.only_nodes if named is None else named & prepared.only_nodes
                namers.append(plugin.NAME)
        if named is not None:
            diagnosis.absent_reason = f"node(s) didn't satisfy plugin(s) [{' '.join(sorted(namers))}]"
            if not named:
                diagnosis.refused_by.update(namers)
                refusal = Refusal(f"{diagnosis.absent_reason} simultaneously", final=True)
                diagnosis.pod_refusal = refusal.reason
                return refusal
            diagnosis.refused_by.update(namers)
        return None

    def _filter(
        self, pod: PodInfo, cluster: SchedulerCache, nodes: Sequence[NodeInfo], diagnosis: Diagnosis
    ) -> list[NodeInfo]:
        prepared = diagnosis.prepared
        named = [one.only_nodes for one in prepared.values() if one.only_nodes is not None]
        nominated = cluster.nominated_node(pod.uid)
        if nominated:  # it waited for this very node
            node = cluster.find(nominated)
            if node is not None and check_node(prepared, pod, node, cluster, diagnosis) is None:
                return [node]
            diagnosis.refusals.pop(nominated, None)
        if named:
            allowed = frozenset.intersection(*named)
            nodes = [one for name in sorted(allowed) if (one := cluster.find(name)) is not None]
            if not nodes:
                return []
        fitting: list[NodeInfo] = []
        enough, total = nodes_to_find(len(nodes), self.profile.percentage), len(nodes)
        start = self._start % total
        looked = 0
        checks = [(name, one.check) for name, one in prepared.items()]
        careful = cluster.has_nominated
        for node in (*nodes[start:], *nodes[:start]):
            looked += 1
            if careful and cluster.nominated_on(node.name):
                if check_node(prepared, pod, node, cluster, diagnosis) is not None:
                    continue
            else:
                refusal = None
                for name, check in checks:
                    refusal = check(node)
                    if refusal is not None:
                        diagnosis.refusals[node.name] = refusal
                        diagnosis.refused_by.add(name)
                        break
                if refusal is not None:
                    continue
            fitting.append(node)
            if len(fitting) >= enough:
                break
        self._start = (start + looked) % total
        return fitting

    def scores(self, pod: PodInfo, cluster: SchedulerCache, nodes: Sequence[NodeInfo]) -> list[int]:
        """Return the weighted sums of all plugins' scores."""
        totals, began_s = [0] * len(nodes), clock.monotonic_s()
        for plugin, weight in self.profile.score:
            scores = plugin.score(pod, cluster, nodes)
            if scores is not None:
                totals = [total + score * weight for total, score in zip(totals, scores, strict=True)]
        self._metrics.observe_point(self.profile.name, "Score", began_s)
        return totals

    def pick(self, nodes: Sequence[NodeInfo], totals: Sequence[int]) -> NodeInfo:
        """Return one of the best nodes."""
        best = max(totals)
        return self._choose.choice([node for node, total in zip(nodes, totals, strict=True) if total == best])


def check_node(
    prepared: Mapping[str, PodFilter],
    pod: PodInfo,
    node: NodeInfo,
    cluster: SchedulerCache,
    diagnosis: Diagnosis | None = None,
) -> Refusal | None:
    """Check one node, as if the pods were there already that shall get room on it and are as important.

    They may never come, so the pod must fit without them, too.
    """
    others = [
        one for one in cluster.nominated_on(node.name) if one.priority >= pod.priority and one.uid != pod.uid
    ]
    if others:
        with_others, crowded = {name: one.copy() for name, one in prepared.items()}, node.copy()
        for other in others:
            crowded.add(other)
            for one in with_others.values():
                one.count(other, crowded, 1)
        refusal = run_checks(with_others, crowded, diagnosis)
        if refusal is not None:
            return refusal
    return run_checks(prepared, node, diagnosis)


def run_checks(
    prepared: Mapping[str, PodFilter], node: NodeInfo, diagnosis: Diagnosis | None = None
) -> Refusal | None:
    """Ask the plugins in order; the first refusal counts."""
    for name, one in prepared.items():
        refusal = one.check(node)
        if refusal is not None:
            if diagnosis is not None:
                diagnosis.refusals[node.name] = refusal
                diagnosis.refused_by.add(name)
            return refusal
    return None

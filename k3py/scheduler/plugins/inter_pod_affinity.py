"""Pods near other pods, or far from them. Source: kubernetes/pkg/scheduler/framework/plugins/interpodaffinity v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from k3py.scheduler.affinity_terms import AffinityTerm, parse_affinity
from k3py.scheduler.interface import PodFilter, Refusal
from k3py.scheduler.node_info import PodInfo
from k3py.scheduler.scoring import MAX_SCORE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from k3py.client.interface import Lister
    from k3py.jsontypes import JsonObject
    from k3py.scheduler.cache import PodGroup, SchedulerCache
    from k3py.scheduler.interface import ClusterEvent, Interest, PluginContext
    from k3py.scheduler.node_info import NodeInfo

Pair = tuple[str, str]  # topology key, value
Counts = dict[Pair, int]

_NOT_NEAR: Final = Refusal("node(s) didn't match pod affinity rules", final=True)
_NOT_FAR: Final = Refusal("node(s) didn't match pod anti-affinity rules")
_NOT_WELCOME: Final = Refusal("node(s) didn't satisfy existing pods anti-affinity rules")


class InterPodAffinity:
    """See the module.

    Args:
        context: whose namespaces' labels count.
        hard_weight: args.hardPodAffinityWeight: what required affinity of other pods weighs in the score.
        ignore_others: args.ignorePreferredTermsOfExistingPods.
    """

    NAME = "InterPodAffinity"
    INTERESTS: frozenset[Interest] = frozenset(
        {("nodes", "add"), ("nodes", "update"), ("pods", "add"), ("pods", "update"), ("pods", "delete")}
    )

    def __init__(self, context: PluginContext, hard_weight: int = 1, *, ignore_others: bool = False) -> None:
        self._namespaces: Lister = context.lister("namespaces")
        self._hard_weight = hard_weight
        self._ignore_others = ignore_others

    def _labels_of(self, namespace: str) -> Mapping[str, str]:
        found = self._namespaces.find("", namespace)
        return {} if found is None else found["metadata"].get("labels") or {}

    def matches(self, term: AffinityTerm, pod: PodInfo) -> bool:
        """Say whether a term selects a pod."""
        return term.covers_namespace(
            pod.namespace, {} if term.namespace_selector is None else self._labels_of(pod.namespace)
        ) and term.selector.matches(pod.labels)

    def matches_all(self, terms: Sequence[AffinityTerm], pod: PodInfo) -> bool:
        """Say whether all of the terms, of which there is one, select a pod."""
        return bool(terms) and all(self.matches(term, pod) for term in terms)

    def prepare(self, pod: PodInfo, cluster: SchedulerCache) -> PodFilter | Refusal | None:
        """Count, by topology, the pods that attract this one, those it keeps off and those that keep it off."""
        prepared = _Neighbours(self, pod)
        for group in cluster.affine_groups():
            affinity = group.sample.affinity
            if affinity is None or not affinity.anti_affinity:
                continue
            keys = [term.topology_key for term in affinity.anti_affinity if self.matches(term, pod)]
            _count_group(prepared.keep_off, cluster, group, keys)
        own = pod.affinity
        if own is not None and (own.affinity or own.anti_affinity):
            for group in self._groups_for((*own.affinity, *own.anti_affinity), cluster):
                if self.matches_all(own.affinity, group.sample):
                    _count_group(prepared.attract, cluster, group, [one.topology_key for one in own.affinity])
                keys = [one.topology_key for one in own.anti_affinity if self.matches(one, group.sample)]
                _count_group(prepared.repel, cluster, group, keys)
        elif not prepared.keep_off:
            return None
        return prepared

    def _groups_for(self, terms: Iterable[AffinityTerm], cluster: SchedulerCache) -> Iterable[PodGroup]:
        """Return the groups of pods in namespaces that one of the terms covers."""
        wanted: set[str] = set()
        for term in terms:
            wanted |= term.namespaces
            if term.namespace_selector is not None:
                wanted.update(
                    one for one in cluster.namespaces() if term.covers_namespace(one, self._labels_of(one))
                )
        for namespace in wanted:
            yield from cluster.groups_in(namespace)

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """Pods that attract and come, pods that keep off and go, and nodes with the right labels help."""
        affinity = parse_affinity(pod)
        required = () if affinity is None else (*affinity.affinity, *affinity.anti_affinity)
        if event.resource == "nodes":
            return event.new is not None and _node_helps(required, event)
        me = PodInfo(pod)
        new = None if event.new is None else PodInfo(event.new)
        old = None if event.old is None else PodInfo(event.old)
        if affinity is not None and affinity.affinity and new is not None:
            was = old is not None and self.matches_all(affinity.affinity, old)
            if not was and self.matches_all(affinity.affinity, new):
                return True
        return old is not None and self._keeps_off(me, old) and (new is None or not self._keeps_off(me, new))

    def _keeps_off(self, me: PodInfo, other: PodInfo) -> bool:
        mine, others = me.affinity, other.affinity
        if mine is not None and any(self.matches(term, other) for term in mine.anti_affinity):
            return True
        return others is not None and any(self.matches(term, me) for term in others.anti_affinity)

    def score(self, pod: PodInfo, cluster: SchedulerCache, nodes: Sequence[NodeInfo]) -> Sequence[int] | None:
        """Sum weights by topology: the pod's own preferences and those of the pods that are there."""
        sums: Counts = {}
        own = pod.affinity
        if own is not None and (own.preferred or own.anti_preferred):
            signed = [(one, one.weight) for one in own.preferred] + [
                (one, -one.weight) for one in own.anti_preferred
            ]
            for group in self._groups_for([one for one, _ in signed], cluster):
                for term, weight in signed:
                    if self.matches(term, group.sample):
                        _count_group(sums, cluster, group, [term.topology_key], weight)
        for group in cluster.affine_groups():
            affinity = group.sample.affinity
            if affinity is not None:
                self._add_preferences(sums, pod, cluster, group, own_preferences=own is not None)
        if not sums:
            return None
        raw = [sum(sums.get(pair, 0) for pair in _pairs(node, {key for key, _ in sums})) for node in nodes]
        least, most = min(raw), max(raw)
        if least == most:
            return None
        return [int(MAX_SCORE * (one - least) / (most - least)) for one in raw]

    def _add_preferences(
        self, sums: Counts, pod: PodInfo, cluster: SchedulerCache, group: PodGroup, *, own_preferences: bool
    ) -> None:
        affinity = group.sample.affinity
        if affinity is None:
            return
        weighted = [(one, self._hard_weight) for one in affinity.affinity] if self._hard_weight else []
        if own_preferences or not self._ignore_others:
            weighted += [(one, one.weight) for one in affinity.preferred]
            weighted += [(one, -one.weight) for one in affinity.anti_preferred]
        for term, weight in weighted:
            if self.matches(term, pod):
                _count_group(sums, cluster, group, [term.topology_key], weight)


class _Neighbours(PodFilter):
    """Counts of pods by topology pair, as `InterPodAffinity.prepare` says."""

    __slots__ = ("_keys", "_pod", "_rules", "attract", "keep_off", "repel")

    def __init__(self, rules: InterPodAffinity, pod: PodInfo) -> None:
        super().__init__()
        self._rules = rules
        self._pod = pod
        self.attract: Counts = {}
        self.repel: Counts = {}
        self.keep_off: Counts = {}
        self._keys: frozenset[str] | None = None  # the topology keys of `keep_off`

    def copy(self) -> Self:
        other = type(self)(self._rules, self._pod)
        other.attract, other.repel, other.keep_off = dict(self.attract), dict(self.repel), dict(self.keep_off)
        return other

    def count(self, other: PodInfo, node: NodeInfo, sign: int) -> None:
        own, others = self._pod.affinity, other.affinity
        self._keys = None
        if others is not None:
            for term in others.anti_affinity:
                if self._rules.matches(term, self._pod):
                    _add(self.keep_off, node, term.topology_key, sign)
        if own is None:
            return
        if self._rules.matches_all(own.affinity, other):
            for term in own.affinity:
                _add(self.attract, node, term.topology_key, sign)
        for term in own.anti_affinity:
            if self._rules.matches(term, other):
                _add(self.repel, node, term.topology_key, sign)

    def check(self, node: NodeInfo) -> Refusal | None:
        own = self._pod.affinity
        labels = node.labels
        if own is not None:
            if own.affinity and not self._is_near(own.affinity, labels):
                return _NOT_NEAR
            for term in own.anti_affinity:
                value = labels.get(term.topology_key)
                if value is not None and self.repel.get((term.topology_key, value), 0) > 0:
                    return _NOT_FAR
        if self.keep_off:
            if self._keys is None:
                self._keys = frozenset(key for key, _ in self.keep_off)
            for key in self._keys:
                value = labels.get(key)
                if value is not None and self.keep_off.get((key, value), 0) > 0:
                    return _NOT_WELCOME
        return None

    def _is_near(self, terms: Sequence[AffinityTerm], labels: Mapping[str, str]) -> bool:
        found = True
        for term in terms:
            value = labels.get(term.topology_key)
            if value is None:
                return False
            found = found and self.attract.get((term.topology_key, value), 0) > 0
        # The first of a group of pods that want to be together may go anywhere.
        return found or (
            not any(count > 0 for count in self.attract.values())
            and self._rules.matches_all(terms, self._pod)
        )


def _count_group(
    counts: Counts, cluster: SchedulerCache, group: PodGroup, keys: Sequence[str], weight: int = 1
) -> None:
    if not keys:
        return
    for name, number in group.counts.items():
        node = cluster.find(name)
        if node is not None:
            for key in keys:
                _add(counts, node, key, number * weight)


def _add(counts: Counts, node: NodeInfo, key: str, amount: int) -> None:
    value = node.labels.get(key)
    if value is not None:
        counts[(key, value)] = counts.get((key, value), 0) + amount


def _pairs(node: NodeInfo, keys: Iterable[str]) -> Iterable[Pair]:
    for key in keys:
        value = node.labels.get(key)
        if value is not None:
            yield key, value


def _node_helps(required: Sequence[AffinityTerm], event: ClusterEvent) -> bool:
    """A node whose topology labels came or changed; any new one where only other pods' rules refused."""
    new = ((event.new or {}).get("metadata") or {}).get("labels") or {}
    if event.old is None:
        return all(term.topology_key in new for term in required)
    old = event.old["metadata"].get("labels") or {}
    if not required:
        return bool(old != new)
    return any(
        term.topology_key in new and old.get(term.topology_key) != new[term.topology_key] for term in required
    )

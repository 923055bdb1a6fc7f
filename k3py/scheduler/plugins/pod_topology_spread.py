"""Pods of a kind spread evenly over zones, nodes and the like.

Source: kubernetes/pkg/scheduler/framework/plugins/podtopologyspread v1.35.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from k3py.api.node_affinity import is_selective, selects
from k3py.api.selectors import LabelSelector, Requirement, selector_from_map, selector_from_object
from k3py.api.taints import tolerates_any
from k3py.scheduler.interface import PodFilter, Refusal
from k3py.scheduler.scoring import MAX_SCORE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from k3py.jsontypes import JsonObject
    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.interface import ClusterEvent, Interest, PluginContext
    from k3py.scheduler.node_info import NodeInfo, PodInfo

_HOSTNAME: Final = "kubernetes.io/hostname"
_REFUSAL: Final = Refusal("node(s) didn't match pod topology spread constraints")
_NO_LABEL: Final = Refusal(
    "node(s) didn't match pod topology spread constraints (missing required label)", final=True
)
SYSTEM_DEFAULTS: Final = (
    {"topologyKey": _HOSTNAME, "maxSkew": 3, "whenUnsatisfiable": "ScheduleAnyway"},
    {"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 5, "whenUnsatisfiable": "ScheduleAnyway"},
)


@dataclass(frozen=True, slots=True)
class Constraint:
    """One constraint, parsed; `honors_affinity`: the pod's node affinity, which there is, leaves nodes out."""

    key: str
    max_skew: int
    min_domains: int
    selector: LabelSelector
    honors_affinity: bool
    honors_taints: bool

    def counts_node(self, pod: PodInfo, node: NodeInfo) -> bool:
        """Say whether a node's pods count: by default where the pod's node affinity selects it, taints or not."""
        if self.honors_affinity and not selects(pod.pod, node.node):
            return False
        return not self.honors_taints or all(tolerates_any(pod.pod, one) for one in node.hard_taints)


class PodTopologySpread:
    """See the module.

    Args:
        context: whose Services and controllers tell what kind a pod is of, for default constraints.
        defaults: constraints for pods without own ones.
        system_defaults: defaults are the system's: nodes without zone count, too.
    """

    NAME = "PodTopologySpread"
    INTERESTS: frozenset[Interest] = frozenset(
        {
            ("nodes", "add"),
            ("nodes", "update"),
            ("nodes", "delete"),
            ("pods", "add"),
            ("pods", "update"),
            ("pods", "delete"),
        }
    )

    def __init__(
        self,
        context: PluginContext,
        defaults: Sequence[JsonObject] = SYSTEM_DEFAULTS,
        *,
        system_defaults: bool = True,
    ) -> None:
        self._services = context.lister("services")
        self._owners = {
            "ReplicationController": context.lister("replicationcontrollers"),
            "ReplicaSet": context.lister("replicasets"),
            "StatefulSet": context.lister("statefulsets"),
        }
        self._defaults = tuple(defaults)
        self._system_defaults = system_defaults

    def prepare(self, pod: PodInfo, cluster: SchedulerCache) -> PodFilter | Refusal | None:
        """Count the pods of the kind by domain, for constraints that must hold."""
        constraints = self._constraints(pod, "DoNotSchedule")
        if not constraints:
            return None
        prepared = _Spread(pod, constraints)
        on_nodes = [_count_by_node(pod, one.selector, cluster) for one in constraints]
        if len(constraints) == 1 and not constraints[0].honors_affinity and not constraints[0].honors_taints:
            prepared.count_all(on_nodes[0], cluster)
            return prepared
        for node in cluster.nodes():
            if any(one.key not in node.labels for one in constraints):
                continue
            for index, constraint in enumerate(constraints):
                if constraint.counts_node(pod, node):
                    domains = prepared.domains[index]
                    value = node.labels[constraint.key]
                    domains[value] = domains.get(value, 0) + on_nodes[index].get(node.name, 0)
        prepared.find_least()
        return prepared

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """A pod of the kind that comes, goes or changes, and nodes that have the keys, help."""
        constraints = _parse(pod, _own(pod), "DoNotSchedule", None)
        if event.resource == "nodes":
            return any(_has_keys(node, constraints) for node in (event.old, event.new) if node is not None)
        namespace = pod["metadata"]["namespace"]
        for other in (event.old, event.new):
            if other is None or other["metadata"]["namespace"] != namespace:
                continue
            if not constraints or any(one.selector.matches(_labels(other)) for one in constraints):
                return True
        return False

    def score(self, pod: PodInfo, cluster: SchedulerCache, nodes: Sequence[NodeInfo]) -> Sequence[int] | None:
        """Prefer domains with few pods of the kind; the more domains there are, the more a pod weighs."""
        constraints = self._constraints(pod, "ScheduleAnyway")
        if not constraints:
            return None
        needs_all = bool(_own(pod.pod)) or not self._system_defaults
        left_out = [needs_all and any(one.key not in node.labels for one in constraints) for node in nodes]
        totals = [0.0] * len(nodes)
        for constraint in constraints:
            counts, domains = _counts_for(constraint, pod, cluster, nodes, left_out, needs_all, constraints)
            weight = math.log(domains + 2)
            for index, node in enumerate(nodes):
                value = node.labels.get(constraint.key)
                if value is not None and not left_out[index]:
                    at = node.name if constraint.key == _HOSTNAME else value
                    totals[index] += counts.get(at, 0) * weight + (constraint.max_skew - 1)
        return _normalize([round_half_up(one) for one in totals], left_out)

    def _constraints(self, pod: PodInfo, action: str) -> tuple[Constraint, ...]:
        own = _own(pod.pod)
        if own:
            return _parse(pod.pod, own, action, None)
        wanted = [one for one in self._defaults if one["whenUnsatisfiable"] == action]
        if not wanted:
            return ()
        selector = self._selector_of_kind(pod)
        return () if selector is None else _parse(pod.pod, wanted, action, selector)

    def _selector_of_kind(self, pod: PodInfo) -> LabelSelector | None:
        """Return what selects the pods of the Services and the controller that this one belongs to."""
        terms: list[Requirement] = []
        for service in self._services.list(pod.namespace):
            labels = service["spec"].get("selector")
            if labels and labels.items() <= pod.labels.items():
                terms += selector_from_map(labels).requirements
        for reference in pod.pod["metadata"].get("ownerReferences") or ():
            owners = self._owners.get(reference["kind"]) if reference.get("controller") else None
            owner = None if owners is None else owners.find(pod.namespace, reference["name"])
            if owner is None:
                continue
            selector = owner["spec"].get("selector")
            if reference["kind"] == "ReplicationController":
                terms += selector_from_map(selector or {}).requirements
            elif selector:
                terms += selector_from_object(selector).requirements
        return LabelSelector(tuple(dict.fromkeys(terms))) if terms else None


class _Spread(PodFilter):
    __slots__ = ("_constraints", "_least", "_pod", "_selves", "domains")

    def __init__(self, pod: PodInfo, constraints: Sequence[Constraint]) -> None:
        super().__init__()
        self._pod = pod
        self._constraints = constraints
        self._least: list[int] = []
        self._selves = [int(one.selector.matches(pod.labels)) for one in constraints]
        self.domains: list[dict[str, int]] = [{} for _ in constraints]

    def copy(self) -> Self:
        other = type(self)(self._pod, self._constraints)
        other.domains = [dict(one) for one in self.domains]
        other._least = list(self._least)  # noqa: SLF001 - the same class
        return other

    def count_all(self, on_nodes: Mapping[str, int], cluster: SchedulerCache) -> None:
        """Count for one constraint to which all nodes count: only those with pods have to be looked at."""
        key, domains = self._constraints[0].key, dict.fromkeys(cluster.domains(self._constraints[0].key), 0)
        for name, number in on_nodes.items():
            node = cluster.find(name)
            value = None if node is None else node.labels.get(key)
            if value is not None:
                domains[value] += number
        self.domains = [domains]
        self.find_least()

    def find_least(self) -> None:
        """Find the emptiest domain of each constraint; domains that are missing count as empty."""
        self._least = [
            0 if len(domains) < constraint.min_domains else min(domains.values(), default=0)
            for constraint, domains in zip(self._constraints, self.domains, strict=True)
        ]

    def count(self, other: PodInfo, node: NodeInfo, sign: int) -> None:
        if other.namespace != self._pod.namespace or other.is_going:
            return
        if any(one.key not in node.labels for one in self._constraints):
            return
        for constraint, domains in zip(self._constraints, self.domains, strict=True):
            if constraint.selector.matches(other.labels) and constraint.counts_node(self._pod, node):
                value = node.labels[constraint.key]
                domains[value] = domains.get(value, 0) + sign
        self.find_least()

    def check(self, node: NodeInfo) -> Refusal | None:
        for index, constraint in enumerate(self._constraints):
            value = node.labels.get(constraint.key)
            if value is None:
                return _NO_LABEL
            there = self.domains[index].get(value, 0) + self._selves[index]
            if there - self._least[index] > constraint.max_skew:
                return _REFUSAL
        return None


def _own(pod: JsonObject) -> Sequence[JsonObject]:
    return pod["spec"].get("topologySpreadConstraints") or ()


def _parse(
    pod: JsonObject, constraints: Iterable[JsonObject], action: str, selector: LabelSelector | None
) -> tuple[Constraint, ...]:
    selective = is_selective(pod)
    return tuple(
        Constraint(
            one["topologyKey"],
            int(one["maxSkew"]),
            int(one.get("minDomains") or 1),
            selector_from_object(one.get("labelSelector")) if selector is None else selector,
            selective and one.get("nodeAffinityPolicy", "Honor") == "Honor",
            one.get("nodeTaintsPolicy", "Ignore") == "Honor",
        )
        for one in constraints
        if one["whenUnsatisfiable"] == action
    )


def _labels(obj: JsonObject) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def _has_keys(node: JsonObject, constraints: Sequence[Constraint]) -> bool:
    labels = _labels(node)
    return all(one.key in labels for one in constraints)


def _count_by_node(pod: PodInfo, selector: LabelSelector, cluster: SchedulerCache) -> dict[str, int]:
    """Return how many selected pods of the namespace, but for those that are going, are on which node."""
    found: dict[str, int] = {}
    for group in cluster.groups_in(pod.namespace):
        if group.sample.is_going or not selector.matches(group.sample.labels):
            continue
        for name, number in group.counts.items():
            found[name] = found.get(name, 0) + number
    return found


def _counts_for(
    constraint: Constraint,
    pod: PodInfo,
    cluster: SchedulerCache,
    nodes: Sequence[NodeInfo],
    left_out: Sequence[bool],
    needs_all: bool,
    constraints: Sequence[Constraint],
) -> tuple[dict[str, int], int]:
    """Return (pods by domain, how many domains there are); for hostnames a domain is a node that fits."""
    on_nodes = _count_by_node(pod, constraint.selector, cluster)
    if constraint.key == _HOSTNAME:
        return on_nodes, len(nodes) - sum(left_out)
    counts = {
        node.labels[constraint.key]: 0
        for node, out in zip(nodes, left_out, strict=True)
        if not out and constraint.key in node.labels
    }
    for name, number in on_nodes.items():
        node = cluster.find(name)
        if node is None or (needs_all and any(one.key not in node.labels for one in constraints)):
            continue
        value = node.labels.get(constraint.key)
        if value in counts and constraint.counts_node(pod, node):
            counts[value] += number
    return counts, len(counts)


def round_half_up(value: float) -> int:
    """Round as Go's math.Round does for numbers that are not negative."""
    return math.floor(value + 0.5)


def _normalize(scores: Sequence[int], left_out: Sequence[bool]) -> list[int]:
    counted = [one for one, out in zip(scores, left_out, strict=True) if not out]
    most, least = max(counted, default=0), min(counted, default=0)
    return [
        0 if out else (MAX_SCORE * (most + least - one) // most if most else MAX_SCORE)
        for one, out in zip(scores, left_out, strict=True)
    ]

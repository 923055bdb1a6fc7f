"""nodeSelector and node affinity. Source: kubernetes/pkg/scheduler/framework/plugins/nodeaffinity v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.node_affinity import node_affinity_of, selects, term_matches
from k3py.scheduler.interface import PodFilter, Refusal
from k3py.scheduler.scoring import normalize_up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject
    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.interface import ClusterEvent, Interest
    from k3py.scheduler.node_info import NodeInfo, PodInfo

_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
_REFUSAL: Final = Refusal("node(s) didn't match Pod's node affinity/selector", final=True)
_ADDED_REFUSAL: Final = Refusal("node(s) didn't match scheduler-enforced node affinity", final=True)


class NodeAffinity:
    """See the module.

    Args:
        added: args.addedAffinity of the profile: holds for every pod, beside the pod's own.
    """

    NAME = "NodeAffinity"
    INTERESTS: frozenset[Interest] = frozenset({("nodes", "add"), ("nodes", "update")})

    def __init__(self, added: JsonObject | None = None) -> None:
        self._added: JsonObject = {"spec": {"affinity": {"nodeAffinity": added}}} if added else {"spec": {}}
        self._has_added = bool(added)

    def prepare(self, pod: PodInfo, cluster: SchedulerCache) -> PodFilter | Refusal | None:
        """Have nothing to do for pods that take any node; find those that name their nodes."""
        spec = pod.pod["spec"]
        required = node_affinity_of(pod.pod).get(_REQUIRED)
        if not spec.get("nodeSelector") and required is None and not self._has_added:
            return None
        prepared = _Selection(pod.pod, self._added if self._has_added else None)
        if required is not None:
            names = _named_nodes(required.get("nodeSelectorTerms") or ())
            if names is not None:
                if not names:
                    return Refusal("pod affinity terms conflict", final=True)
                prepared.only_nodes = names
        return prepared

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """A node that is selected now helps."""
        return event.new is not None and selects(pod, event.new) and selects(self._added, event.new)

    def score(self, pod: PodInfo, cluster: SchedulerCache, nodes: Sequence[NodeInfo]) -> Sequence[int] | None:
        """Prefer nodes that many, heavy preferred terms select."""
        preferred = [
            *(node_affinity_of(self._added).get(_PREFERRED) or ()),
            *(node_affinity_of(pod.pod).get(_PREFERRED) or ()),
        ]
        if not preferred:
            return None
        return normalize_up(
            [
                sum(int(one["weight"]) for one in preferred if term_matches(one["preference"], node.node))
                for node in nodes
            ]
        )


class _Selection(PodFilter):
    __slots__ = ("_added", "_pod")

    def __init__(self, pod: JsonObject, added: JsonObject | None) -> None:
        super().__init__()
        self._pod = pod
        self._added = added

    def check(self, node: NodeInfo) -> Refusal | None:
        if self._added is not None and not selects(self._added, node.node):
            return _ADDED_REFUSAL
        return None if selects(self._pod, node.node) else _REFUSAL


def _named_nodes(terms: Sequence[JsonObject]) -> frozenset[str] | None:
    """Return the only nodes that the terms can select by name, None when one of them does not name any."""
    names: set[str] = set()
    for term in terms:
        fields = [
            one
            for one in term.get("matchFields") or ()
            if one["key"] == "metadata.name" and one["operator"] == "In"
        ]
        if not fields:
            return None
        names |= set.intersection(*(set(one.get("values") or ()) for one in fields))
    return frozenset(names) if terms else None

"""nodeSelector and node affinity. Source: kubernetes/pkg/scheduler/framework/plugins/nodeaffinity v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.selectors import Requirement
from k3py.scheduler.interface import Refusal
from k3py.scheduler.scoring import normalize_up

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3py.jsontypes import JsonObject
    from k3py.scheduler.interface import ClusterEvent, CycleState
    from k3py.scheduler.node_info import NodeInfo

_OPERATORS: Final = {
    "In": "in",
    "NotIn": "notin",
    "Exists": "exists",
    "DoesNotExist": "!",
    "Gt": "gt",
    "Lt": "lt",
}


class NodeAffinity:
    """See the module."""

    NAME = "NodeAffinity"

    def filter(self, state: CycleState, pod: JsonObject, node: NodeInfo) -> Refusal | None:
        """Refuse nodes that spec.nodeSelector or the required terms do not select."""
        if selects(pod, node.node or {}):
            return None
        return Refusal("node(s) didn't match Pod's node affinity/selector", final=True)

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """A node that is selected now helps."""
        return event.resource == "node" and event.new is not None and selects(pod, event.new)

    def score(self, state: CycleState, pod: JsonObject, node: NodeInfo) -> int:
        """Sum the weights of the preferred terms that select the node."""
        preferred = (_affinity(pod)).get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        return sum(
            int(one["weight"]) for one in preferred if _term_matches(one["preference"], node.node or {})
        )

    def normalize(self, scores: Sequence[int]) -> Sequence[int]:
        """Scale to 0..100."""
        return normalize_up(scores)


def selects(pod: JsonObject, node: JsonObject) -> bool:
    """Say whether the pod's nodeSelector and required node affinity select the node."""
    labels = (node.get("metadata") or {}).get("labels") or {}
    for key, value in (pod["spec"].get("nodeSelector") or {}).items():
        if labels.get(key) != value:
            return False
    required = _affinity(pod).get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(_term_matches(term, node) for term in required.get("nodeSelectorTerms") or ())


def _affinity(pod: JsonObject) -> JsonObject:
    return (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}


def _term_matches(term: JsonObject, node: JsonObject) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False  # an empty term selects nothing
    metadata = node.get("metadata") or {}
    labels = metadata.get("labels") or {}
    names = {"metadata.name": metadata.get("name", "")}
    return all(_matches(one, labels) for one in expressions) and all(_matches(one, names) for one in fields)


def _matches(expression: JsonObject, values: Mapping[str, str]) -> bool:
    operator = _OPERATORS.get(expression.get("operator", ""))
    if operator is None:
        return False
    wanted = tuple(expression.get("values") or ())
    if operator in ("gt", "lt") and (len(wanted) != 1 or not wanted[0].lstrip("-").isdigit()):
        return False
    return Requirement(expression["key"], operator, wanted).matches(values)

"""Which nodes a pod may run on: nodeSelector and required node affinity. Source: k8s.io/component-helpers/scheduling/corev1 v0.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.selectors import Requirement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.jsontypes import JsonObject

_OPERATORS: Final = {
    "In": "in",
    "NotIn": "notin",
    "Exists": "exists",
    "DoesNotExist": "!",
    "Gt": "gt",
    "Lt": "lt",
}


def selects(pod: JsonObject, node: JsonObject) -> bool:
    """Say whether the pod's nodeSelector and required node affinity select the node."""
    labels = (node.get("metadata") or {}).get("labels") or {}
    for key, value in (pod["spec"].get("nodeSelector") or {}).items():
        if labels.get(key) != value:
            return False
    required = node_affinity_of(pod).get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(term_matches(term, node) for term in required.get("nodeSelectorTerms") or ())


def is_selective(pod: JsonObject) -> bool:
    """Say whether the pod has a nodeSelector or required node affinity: without, any node is selected."""
    required = node_affinity_of(pod).get("requiredDuringSchedulingIgnoredDuringExecution")
    return bool(pod["spec"].get("nodeSelector")) or required is not None


def node_affinity_of(pod: JsonObject) -> JsonObject:
    """Return spec.affinity.nodeAffinity, {} when there is none."""
    return (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}


def term_matches(term: JsonObject, node: JsonObject) -> bool:
    """Say whether one node selector term selects the node."""
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

"""The two flow schemas and the two priority levels that every server has, in the one form that they may have.

Source: k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap/default.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

EXEMPT: Final = "exempt"
CATCH_ALL: Final = "catch-all"


def fixed_schema_spec(name: str) -> JsonObject | None:
    """Return the spec that the FlowSchema of this name must have; None = any."""
    if name == EXEMPT:
        return _schema(EXEMPT, 1, ("system:masters",), {})
    if name == CATCH_ALL:
        groups = ("system:unauthenticated", "system:authenticated")
        return _schema(CATCH_ALL, 10000, groups, {"distinguisherMethod": {"type": "ByUser"}})
    return None


def _schema(level: str, precedence: int, groups: tuple[str, ...], more: JsonObject) -> JsonObject:
    everything: JsonObject = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    rule: JsonObject = {
        "subjects": [{"kind": "Group", "group": {"name": name}} for name in groups],
        "resourceRules": [{**everything, "clusterScope": True, "namespaces": ["*"]}],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    }
    return {
        "priorityLevelConfiguration": {"name": level},
        "matchingPrecedence": precedence,
        **more,
        "rules": [rule],
    }


def fixed_level_spec(name: str) -> JsonObject | None:
    """Return the spec that the PriorityLevelConfiguration of this name must have; None = any."""
    if name != CATCH_ALL:
        return None
    limited = {"nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}, "lendablePercent": 0}
    return {"type": "Limited", "limited": limited}

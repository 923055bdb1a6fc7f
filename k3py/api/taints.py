"""Taints and tolerations. Source: k8s.io/api/core/v1/toleration.go v0.35."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from k3py.jsontypes import JsonObject


def tolerates(toleration: JsonObject, taint: JsonObject) -> bool:
    """Say whether one toleration covers one taint."""
    effect = toleration.get("effect")
    if effect and effect != taint["effect"]:
        return False
    key = toleration.get("key")
    if key and key != taint["key"]:
        return False
    match toleration.get("operator") or "Equal":
        case "Exists":
            return True
        case "Equal":
            return bool(key) and (toleration.get("value") or "") == (taint.get("value") or "")
    return False


def tolerates_any(pod: JsonObject, taint: JsonObject) -> bool:
    """Say whether any toleration of the pod covers the taint."""
    return any(tolerates(one, taint) for one in pod["spec"].get("tolerations") or ())


def find_untolerated(pod: JsonObject, node: JsonObject, effects: Collection[str]) -> JsonObject | None:
    """Return the first taint of the node with one of `effects` that the pod does not tolerate."""
    for taint in (node.get("spec") or {}).get("taints") or ():
        if taint["effect"] in effects and not tolerates_any(pod, taint):
            return dict(taint)
    return None


def count_untolerated_preferences(pod: JsonObject, node: JsonObject) -> int:
    """Return how many PreferNoSchedule taints the pod does not tolerate."""
    return sum(
        1
        for taint in (node.get("spec") or {}).get("taints") or ()
        if taint["effect"] == "PreferNoSchedule" and not tolerates_any(pod, taint)
    )

"""Conditional defaults of admissionregistration.k8s.io/v1. Source: k8s.io/kubernetes/pkg/apis/admissionregistration/v1 v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject


def _default_match_resources(obj: JsonObject) -> None:
    obj.setdefault("matchPolicy", "Equivalent")
    obj.setdefault("namespaceSelector", {})
    obj.setdefault("objectSelector", {})


HOOKS: Final = {"MatchResources": _default_match_resources}

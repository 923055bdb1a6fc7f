"""Conditional defaults of apiextensions.k8s.io/v1. Source: k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1/defaults.go v0.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject


def _default_definition(obj: JsonObject) -> None:
    spec = obj["spec"]
    names = spec["names"]
    kind = names.get("kind", "")
    if kind and not names.get("listKind"):
        names["listKind"] = f"{kind}List"
    if kind and not names.get("singular"):
        names["singular"] = kind.lower()
    if spec.get("conversion") is None:
        spec["conversion"] = {"strategy": "None"}
    status = obj["status"]
    if not status.get("storedVersions"):
        stored = [v["name"] for v in spec.get("versions") or () if v.get("storage")]
        status["storedVersions"] = stored or None


HOOKS: Final = {"CustomResourceDefinition": _default_definition}

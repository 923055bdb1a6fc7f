"""Conditional defaults of rbac.authorization.k8s.io/v1. Source: k8s.io/kubernetes/pkg/apis/rbac/v1/defaults.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

_GROUP: Final = "rbac.authorization.k8s.io"


def _default_binding(obj: JsonObject) -> None:
    obj["roleRef"]["apiGroup"] = obj["roleRef"].get("apiGroup") or _GROUP


def _default_subject(obj: JsonObject) -> None:
    if not obj.get("apiGroup") and obj.get("kind") in ("User", "Group"):
        obj["apiGroup"] = _GROUP


HOOKS: Final = {
    "RoleBinding": _default_binding,
    "ClusterRoleBinding": _default_binding,
    "Subject": _default_subject,
}

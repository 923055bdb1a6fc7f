"""What the kinds of RBAC have in common: columns of bindings, rules, subjects.

Source: kubernetes/pkg/apis/rbac (validation, helpers) and pkg/printers/internalversion/printers.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, column

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.api.kind import Column
    from k3py.jsontypes import JsonObject

GROUP: Final = "rbac.authorization.k8s.io"


def _role_of(obj: JsonObject) -> str:
    ref = obj.get("roleRef") or {}
    return f"{ref.get('kind', '')}/{ref.get('name', '')}"


def _subjects(kind: str) -> Callable[[JsonObject], str]:
    def listed(obj: JsonObject) -> str:
        found = [one for one in obj.get("subjects") or () if one.get("kind") == kind]
        if kind == "ServiceAccount":
            return ", ".join(f"{one.get('namespace', '')}/{one.get('name', '')}" for one in found)
        return ", ".join(str(one.get("name", "")) for one in found)

    return listed


BINDING_COLUMNS: Final[tuple[Column, ...]] = (
    NAME,
    column("Role", _role_of),
    AGE,
    column("Users", _subjects("User"), wide=True),
    column("Groups", _subjects("Group"), wide=True),
    column("ServiceAccounts", _subjects("ServiceAccount"), wide=True),
)

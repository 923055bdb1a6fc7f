"""Roles and bindings as an index: which rules a user has, without a list per request.

ClusterRoles with an aggregationRule count with the rules of the roles that they select, whether or not a controller has written them down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.selectors import SelectorError, selector_from_object
from k3py.apiserver.authz.rule import Rule, read_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from k3py.api.selectors import LabelSelector
    from k3py.api.user import User
    from k3py.apiserver.follower import Key
    from k3py.jsontypes import JsonObject

RBAC_GROUP: Final = "rbac.authorization.k8s.io"
Subject = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Grant:
    """A binding as one subject sees it; `namespace` is "" for ClusterRoleBindings."""

    namespace: str
    binding: str
    role_kind: str
    role: str
    subject: Subject

    def __str__(self) -> str:
        binding = (
            f'RoleBinding "{self.binding}/{self.namespace}"'
            if self.namespace
            else f'ClusterRoleBinding "{self.binding}"'
        )
        return f'{binding} of {self.role_kind} "{self.role}" to {self.subject[0]} "{self.subject[1]}"'


@dataclass(frozen=True, slots=True)
class _ClusterRole:
    rules: tuple[Rule, ...]
    labels: dict[str, str]
    selectors: tuple[LabelSelector, ...]


class Policy:
    """All roles and bindings; fed by followers, read by the authorizer and the escalation check."""

    def __init__(self) -> None:
        self._roles: dict[Key, tuple[Rule, ...]] = {}
        self._cluster_roles: dict[str, _ClusterRole] = {}
        self._aggregated: dict[str, tuple[Rule, ...]] = {}
        self._bindings: dict[Key, tuple[Grant, ...]] = {}
        self._grants: dict[tuple[str, Subject], dict[Key, Grant]] = {}

    def handlers(self) -> dict[str, Callable[[Key, JsonObject | None], None]]:
        """Return what to call for objects of each kind, by plural."""
        return {
            "roles": self.set_role,
            "clusterroles": self.set_cluster_role,
            "rolebindings": self.set_binding,
            "clusterrolebindings": self.set_binding,
        }

    def set_role(self, key: Key, obj: JsonObject | None) -> None:
        """Take a Role's state, None = gone."""
        if obj is None:
            self._roles.pop(key, None)
        else:
            self._roles[key] = read_rules(obj.get("rules"))

    def set_cluster_role(self, key: Key, obj: JsonObject | None) -> None:
        """Take a ClusterRole's state, None = gone."""
        self._aggregated.clear()
        if obj is None:
            self._cluster_roles.pop(key[1], None)
            return
        self._cluster_roles[key[1]] = _ClusterRole(
            read_rules(obj.get("rules")),
            obj["metadata"].get("labels") or {},
            tuple(_read_selectors(obj.get("aggregationRule"))),
        )

    def set_binding(self, key: Key, obj: JsonObject | None) -> None:
        """Take the state of a RoleBinding or ClusterRoleBinding, None = gone."""
        for grant in self._bindings.pop(key, ()):
            grants = self._grants.get((key[0], grant.subject))
            if grants is not None:
                grants.pop(key, None)
                if not grants:
                    del self._grants[key[0], grant.subject]
        if obj is None:
            return
        reference = obj.get("roleRef") or {}
        grants_of_binding = tuple(
            Grant(key[0], key[1], reference.get("kind", ""), reference.get("name", ""), subject)
            for subject in _read_subjects(obj, key[0])
        )
        self._bindings[key] = grants_of_binding
        for grant in grants_of_binding:
            self._grants.setdefault((key[0], grant.subject), {})[key] = grant

    def find_role(self, namespace: str, kind: str, name: str) -> tuple[Rule, ...] | None:
        """Return the rules of a role, None when there is none; `namespace` is a Role's."""
        if kind == "Role":
            return self._roles.get((namespace, name))
        role = self._cluster_roles.get(name)
        if role is None or not role.selectors:
            return role.rules if role is not None else None
        known = self._aggregated.get(name)
        if known is None:
            known = self._aggregated[name] = tuple(dict.fromkeys(self._aggregate(role)))
        return known

    def _aggregate(self, role: _ClusterRole) -> Iterator[Rule]:
        yield from role.rules
        for other in self._cluster_roles.values():
            if other is not role and any(one.matches(other.labels) for one in role.selectors):
                yield from other.rules

    def iter_grants(self, user: User, namespace: str) -> Iterator[Grant]:
        """Yield the bindings that apply to `user`, cluster-wide ones first; `namespace` "" = only those."""
        subjects: list[Subject] = [("User", user.name), *(("Group", one) for one in user.groups)]
        for scope in ("", namespace) if namespace else ("",):
            for subject in subjects:
                yield from tuple(self._grants.get((scope, subject), {}).values())

    def rules_for(self, user: User, namespace: str) -> list[Rule]:
        """Return all rules that `user` has in `namespace` ("" = cluster-wide); references to missing roles give nothing."""
        return [
            rule
            for grant in self.iter_grants(user, namespace)
            for rule in self.find_role(grant.namespace, grant.role_kind, grant.role) or ()
        ]


def _read_subjects(obj: JsonObject, namespace: str) -> Iterator[Subject]:
    for subject in obj.get("subjects") or ():
        kind, name = subject.get("kind", ""), subject.get("name", "")
        if kind == "ServiceAccount":
            home = subject.get("namespace") or namespace
            if home:
                yield "User", f"system:serviceaccount:{home}:{name}"
        elif kind in ("User", "Group"):
            yield kind, name


def _read_selectors(aggregation: JsonObject | None) -> Iterator[LabelSelector]:
    for selector in (aggregation or {}).get("clusterRoleSelectors") or ():
        try:
            yield selector_from_object(selector)
        except SelectorError:
            continue  # selects nothing, as the aggregating controller has it

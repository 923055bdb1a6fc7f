"""Which FlowSchema a request belongs to. Source: k8s.io/apiserver/pkg/util/flowcontrol/rule.go v0.35."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.api.user import User
    from k3py.apiserver.filters.request_info import RequestInfo
    from k3py.jsontypes import JsonObject

_ACCOUNT: Final = "system:serviceaccount:"
_BY_USER: Final = "ByUser"
_BY_NAMESPACE: Final = "ByNamespace"


@dataclass(frozen=True, slots=True)
class _Rule:
    users: frozenset[str]
    groups: frozenset[str]
    account_namespaces: tuple[str, ...]
    resources: Sequence[JsonObject]
    others: Sequence[JsonObject]

    def matches(self, user: User, info: RequestInfo) -> bool:
        return self._is_subject(user) and (
            any(_matches_resource(one, info) for one in self.resources)
            if info.is_resource
            else any(_matches_url(one, info) for one in self.others)
        )

    def _is_subject(self, user: User) -> bool:
        if user.name in self.users or "*" in self.users or "*" in self.groups:
            return True
        return not self.groups.isdisjoint(user.groups) or user.name.startswith(self.account_namespaces)


class FlowSchema:
    """A parsed FlowSchema.

    Attributes:
        name, uid, level: its own and that of its priority level.
        order: schemas are tried in this order.
        dispatched, waiting, executing: requests, for metrics; seats: of those that run; rejected by reason.
    """

    __slots__ = (
        "_distinguisher",
        "_rules",
        "dispatched",
        "executing",
        "level",
        "name",
        "order",
        "rejected",
        "seats",
        "uid",
        "waiting",
    )

    def __init__(self, document: JsonObject) -> None:
        spec, metadata = document["spec"], document["metadata"]
        self.name: str = metadata["name"]
        self.uid: str = metadata.get("uid", "")
        self.level: str = spec["priorityLevelConfiguration"]["name"]
        self.order = (spec.get("matchingPrecedence", 0), self.name)
        self._distinguisher = (spec.get("distinguisherMethod") or {}).get("type", "")
        self._rules = [_parse_rule(one) for one in spec.get("rules") or ()]
        self.dispatched = self.waiting = self.executing = self.seats = 0
        self.rejected: dict[str, int] = {}

    def matches(self, user: User, info: RequestInfo) -> bool:
        """Say whether a request is one of this schema's."""
        return any(rule.matches(user, info) for rule in self._rules)

    def flow_of(self, user: User, info: RequestInfo) -> str:
        """Return what tells one flow of requests from another within this schema."""
        if self._distinguisher == _BY_USER:
            return user.name
        return info.namespace if self._distinguisher == _BY_NAMESPACE else ""


def _parse_rule(rule: JsonObject) -> _Rule:
    users, groups, accounts = set(), set(), []
    for subject in rule.get("subjects") or ():
        kind = subject.get("kind")
        if kind == "User":
            users.add(subject["user"]["name"])
        elif kind == "Group":
            groups.add(subject["group"]["name"])
        elif kind == "ServiceAccount":
            namespace, name = (subject["serviceAccount"].get(key, "") for key in ("namespace", "name"))
            if name == "*":
                accounts.append(f"{_ACCOUNT}{namespace}:")
            else:
                users.add(f"{_ACCOUNT}{namespace}:{name}")
    return _Rule(
        frozenset(users),
        frozenset(groups),
        tuple(accounts),
        rule.get("resourceRules") or (),
        rule.get("nonResourceRules") or (),
    )


def _holds(values: Sequence[str] | None, wanted: str) -> bool:
    return values is not None and ("*" in values or wanted in values)


def _matches_resource(rule: JsonObject, info: RequestInfo) -> bool:
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    return (
        _holds(rule.get("verbs"), info.verb)
        and _holds(rule.get("apiGroups"), info.group)
        and _holds(rule.get("resources"), resource)
        and (
            _holds(rule.get("namespaces"), info.namespace)
            if info.namespace
            else bool(rule.get("clusterScope"))
        )
    )


def _matches_url(rule: JsonObject, info: RequestInfo) -> bool:
    if not _holds(rule.get("verbs"), info.verb):
        return False
    for url in rule.get("nonResourceURLs") or ():
        if url in ("*", info.path) or (url.endswith("/*") and info.path.startswith(url[:-1])):
            return True
    return False

"""RBAC rules: what one allows, and whether rules cover others.

Source: k8s.io/kubernetes/pkg/apis/rbac/v1/evaluation_helpers.go v1.35, k8s.io/component-helpers/auth/rbac/validation/policy_comparator.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from k3py.apiserver.interface import Attributes
    from k3py.jsontypes import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A PolicyRule."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    def allows(self, attributes: Attributes) -> bool:
        """Say whether the rule allows a request."""
        if attributes.verb not in self.verbs and "*" not in self.verbs:
            return False
        if attributes.path:
            return any(_matches_url(one, attributes.path) for one in self.urls)
        return (
            (attributes.group in self.groups or "*" in self.groups)
            and self._allows_resource(attributes)
            and (not self.names or attributes.name in self.names)
        )

    def _allows_resource(self, attributes: Attributes) -> bool:
        if "*" in self.resources:
            return True
        if not attributes.subresource:
            return attributes.resource in self.resources
        return (
            f"{attributes.resource}/{attributes.subresource}" in self.resources
            or f"*/{attributes.subresource}" in self.resources
        )

    def covers(self, part: Rule) -> bool:
        """Say whether whoever holds this rule holds `part`."""
        return (
            _has_all(self.verbs, part.verbs)
            and _has_all(self.groups, part.groups)
            and all(_covers_resource(self.resources, one) for one in part.resources)
            and all(any(_matches_url(own, one) for own in self.urls) for one in part.urls)
            and _covers_names(self.names, part.names)
        )

    def __str__(self) -> str:
        parts = []
        if self.groups:
            parts.append(f"APIGroups:{_listed(self.groups)}")
        if self.resources:
            parts.append(f"Resources:{_listed(self.resources)}")
        if self.names:
            parts.append(f"ResourceNames:{_listed(self.names)}")
        if self.urls:
            parts.append(f"NonResourceURLs:{_listed(self.urls)}")
        parts.append(f"Verbs:{_listed(self.verbs)}")
        return "{" + ", ".join(parts) + "}"


def _listed(values: Sequence[str]) -> str:
    return "[" + " ".join(f'"{one}"' for one in values) + "]"


def _matches_url(own: str, path: str) -> bool:
    return own in ("*", path) or (own.endswith("*") and path.startswith(own.rstrip("*")))


def _has_all(own: Sequence[str], wanted: Sequence[str]) -> bool:
    return "*" in own or all(one in own for one in wanted)


def _covers_resource(own: Sequence[str], wanted: str) -> bool:
    if "*" in own or wanted in own:
        return True
    _, slash, subresource = wanted.partition("/")
    return bool(slash) and f"*/{subresource}" in own


def _covers_names(own: Sequence[str], wanted: Sequence[str]) -> bool:
    if not wanted:
        return not own
    return not own or all(one in own for one in wanted)


def read_rules(rules: Iterable[JsonObject] | None) -> tuple[Rule, ...]:
    """Return the rules of a role's document."""
    return tuple(
        Rule(
            verbs=tuple(one.get("verbs") or ()),
            groups=tuple(one.get("apiGroups") or ()),
            resources=tuple(one.get("resources") or ()),
            names=tuple(one.get("resourceNames") or ()),
            urls=tuple(one.get("nonResourceURLs") or ()),
        )
        for one in rules or ()
    )


def find_uncovered(held: Sequence[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """Return what of `wanted`, broken down to single permissions, `held` does not cover."""
    return [
        part for rule in wanted for part in _break_down(rule) if not any(one.covers(part) for one in held)
    ]


def _break_down(rule: Rule) -> Iterator[Rule]:
    for group, resource, verb in product(rule.groups, rule.resources, rule.verbs):
        if rule.names:
            for name in rule.names:
                yield Rule(groups=(group,), resources=(resource,), verbs=(verb,), names=(name,))
        else:
            yield Rule(groups=(group,), resources=(resource,), verbs=(verb,))
    for url, verb in product(rule.urls, rule.verbs):
        yield Rule(urls=(url,), verbs=(verb,))

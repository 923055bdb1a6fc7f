"""An audit Policy (audit.k8s.io/v1): the first rule that fits a request says how much of it is written.

Beyond upstream: what carries secrets (Secrets, tokens) is written as metadata unless a rule names that resource; a rule for everything never
puts a secret into the log.
Source: k8s.io/apiserver/pkg/audit/policy and pkg/apis/audit/validation v0.35.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from k3py.config.fields import Fields, load_document

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from k3py.api.user import User

STAGES: Final = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")
_VERSIONS: Final = ("audit.k8s.io/v1",)


class Level(IntEnum):
    """How much is written: nothing, who did what, the request's body, the answer's too."""

    NONE = 0
    METADATA = 1
    REQUEST = 2
    REQUEST_RESPONSE = 3

    @property
    def word(self) -> str:
        """Return upstream's name."""
        return _WORDS[self]


_WORDS: Final[Mapping[Level, str]] = {
    Level.NONE: "None",
    Level.METADATA: "Metadata",
    Level.REQUEST: "Request",
    Level.REQUEST_RESPONSE: "RequestResponse",
}
_LEVELS: Final = {word: level for level, word in _WORDS.items()}
# Where requests or answers are secrets: (group, resource with subresource).
_SECRET: Final = frozenset(
    (
        ("", "secrets"),
        ("", "serviceaccounts/token"),
        ("authentication.k8s.io", "tokenreviews"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What rules look at; resource "" = a request for `path`. resource holds the subresource: "pods/log"."""

    user: User
    verb: str
    path: str = ""
    group: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class GroupResources:
    """resources: none = all of the group, also "*", "pods/*", "*/status"; names: none = all."""

    group: str
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def fits(self, subject: Subject) -> bool:
        """Say whether a resource request is meant."""
        if self.group != subject.group:
            return False
        if not self.resources:
            return True
        if self.names and subject.name not in self.names:
            return False
        plural, _, subresource = subject.resource.partition("/")
        wanted = {"*", subject.resource}
        if subresource:
            wanted |= {f"{plural}/*", f"*/{subresource}"}
        return not wanted.isdisjoint(self.resources)

    def is_named(self, subject: Subject) -> bool:
        """Say whether the resource is called by its name."""
        return self.group == subject.group and subject.resource in self.resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; empty tuples fit everything."""

    level: Level
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    resources: tuple[GroupResources, ...] = ()
    namespaces: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    omit_stages: frozenset[str] = frozenset()
    omit_managed_fields: bool = False

    def fits(self, subject: Subject) -> bool:
        """Say whether the rule is about a request."""
        user = subject.user
        if self.users and user.name not in self.users:
            return False
        if self.groups and not set(self.groups).intersection(user.groups):
            return False
        if self.verbs and subject.verb not in self.verbs and "*" not in self.verbs:
            return False
        if self.namespaces or self.resources:
            if not subject.resource or (self.namespaces and subject.namespace not in self.namespaces):
                return False
            return not self.resources or any(one.fits(subject) for one in self.resources)
        if self.paths:
            return not subject.resource and any(_fits_path(one, subject.path) for one in self.paths)
        return True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the policy wants of one request."""

    level: Level = Level.NONE
    omit_stages: frozenset[str] = frozenset()
    omit_managed_fields: bool = False


_NOTHING: Final = Verdict()


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules in order."""

    rules: tuple[Rule, ...] = field(default=())

    def decide(self, subject: Subject) -> Verdict:
        """Return what is to be written of a request."""
        for rule in self.rules:
            if not rule.fits(subject):
                continue
            level = rule.level
            if level > Level.METADATA and (subject.group, subject.resource) in _SECRET:
                named = any(one.is_named(subject) for one in rule.resources)
                level = level if named else Level.METADATA
            return Verdict(level, rule.omit_stages, rule.omit_managed_fields)
        return _NOTHING


def _fits_path(pattern: str, path: str) -> bool:
    if pattern in ("*", path):
        return True
    return pattern.endswith("*") and path.startswith(pattern[:-1])


def load_policy(file: Path) -> Policy:
    """Read a Policy. Blocking.

    Raises:
        ConfigError: it cannot be read or used; names the field.
    """
    fields = load_document(file, "audit-policy-file", "Policy", _VERSIONS)
    omit_stages = _read_stages(fields)
    omit_managed = fields.flag("omitManagedFields")
    metadata = fields.object("metadata")
    del metadata  # allowed, and of no meaning
    rules = fields.objects("rules")
    if not rules:
        raise fields.fault("rules", "must hold at least one rule")
    read = tuple(_read_rule(one, omit_stages, omit_managed=omit_managed) for one in rules)
    fields.finish()
    return Policy(read)


def _read_rule(fields: Fields, omit_stages: frozenset[str], *, omit_managed: bool) -> Rule:
    level = fields.text("level", default=None, allowed=tuple(_LEVELS))
    resources = tuple(_read_resources(one) for one in fields.objects("resources"))
    namespaces, paths = fields.texts("namespaces"), fields.texts("nonResourceURLs")
    if paths and (resources or namespaces):
        raise fields.fault("nonResourceURLs", "cannot be given together with resources or namespaces")
    for path in paths:
        if path != "*" and (not path.startswith("/") or "*" in path[:-1]):
            raise fields.fault(
                "nonResourceURLs", f"{path!r}: must begin with a slash; * can stand at the end only"
            )
    rule = Rule(
        level=_LEVELS[level],
        users=fields.texts("users"),
        groups=fields.texts("userGroups"),
        verbs=fields.texts("verbs"),
        resources=resources,
        namespaces=namespaces,
        paths=paths,
        omit_stages=omit_stages | _read_stages(fields),
        omit_managed_fields=fields.flag("omitManagedFields", default=omit_managed),
    )
    fields.finish()
    return rule


def _read_resources(fields: Fields) -> GroupResources:
    group, names = fields.text("group"), fields.texts("resourceNames")
    resources = fields.texts("resources")
    if "/" in group:
        raise fields.fault("group", f"{group!r}: must be a group without a version")
    if names and not resources:
        raise fields.fault("resourceNames", "can be given together with resources only")
    fields.finish()
    return GroupResources(group, resources, names)


def _read_stages(fields: Fields) -> frozenset[str]:
    stages = fields.texts("omitStages")
    for one in stages:
        if one not in STAGES:
            raise fields.fault("omitStages", f"{one!r}: must be one of {', '.join(STAGES)}")
    return frozenset(stages)

"""Whether a webhook or policy is about a request: rules, selectors, and versions that mean the same.

Source: k8s.io/apiserver/pkg/admission/plugin/{webhook/predicates,webhook/generic,policy/matching} v0.35.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.object import deep_copy
from k3py.api.resource import NAMESPACES
from k3py.api.selectors import EVERYTHING, NOTHING, LabelSelector, SelectorError, selector_from_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from k3py.api.kind import Kind
    from k3py.api.registry import KindRegistry
    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.interface import AdmissionRequest
    from k3py.jsontypes import JsonObject

_GROUP: Final = "admissionregistration.k8s.io"
_ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Rule:
    """Operations on resources; empty `names` = all objects."""

    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: tuple[tuple[str, str], ...]
    scope: str
    names: frozenset[str]

    def matches(self, request: AdmissionRequest, kind: Kind) -> bool:
        """Say whether the rule is about the request, were it made in the version of `kind`."""
        return (
            not self.groups.isdisjoint((_ANY, kind.group))
            and not self.versions.isdisjoint((_ANY, kind.version))
            and self.matches_some_version(request)
        )

    def matches_some_version(self, request: AdmissionRequest) -> bool:
        """Say whether all fits but perhaps the version; versions of a kind have the same plural and scope."""
        kind = request.kind
        return (
            not self.operations.isdisjoint((_ANY, request.operation))
            and any(
                resource in (_ANY, kind.plural) and sub in (_ANY, request.subresource)
                for resource, sub in self.resources
            )
            and (self.scope in ("", _ANY) or (self.scope == "Namespaced") is kind.namespaced)
            and (not self.names or request.name in self.names)
        )


def parse_rule(rule: JsonObject) -> Rule:
    """Return a rule of a webhook or policy."""
    pairs = [one.partition("/") for one in rule.get("resources") or ()]
    return Rule(
        operations=frozenset(rule.get("operations") or ()),
        groups=frozenset(rule.get("apiGroups") or ()),
        versions=frozenset(rule.get("apiVersions") or ()),
        resources=tuple((resource, sub) for resource, _, sub in pairs),
        scope=rule.get("scope") or "",
        names=frozenset(rule.get("resourceNames") or ()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What a webhook or policy is about; `rules` None = everything."""

    rules: tuple[Rule, ...] | None
    excluded: tuple[Rule, ...] = ()
    namespaces: LabelSelector = EVERYTHING
    objects: LabelSelector = EVERYTHING
    is_equivalent: bool = True

    async def match(self, request: AdmissionRequest, kinds: KindRegistry, lookup: Lookup) -> Kind | None:
        """Return the version in which the request is meant, None when it is not."""
        if self.excluded and self._find(self.excluded, request, kinds) is not None:
            return None
        found = request.kind if self.rules is None else self._find(self.rules, request, kinds)
        if found is None or not self._selects_object(request):
            return None
        return found if await self._selects_namespace(request, lookup) else None

    def _find(self, rules: tuple[Rule, ...], request: AdmissionRequest, kinds: KindRegistry) -> Kind | None:
        if any(one.matches(request, request.kind) for one in rules):
            return request.kind
        if not self.is_equivalent or not any(one.matches_some_version(request) for one in rules):
            return None
        others = _iter_equivalents(request.kind, kinds)
        return next((kind for kind in others if any(one.matches(request, kind) for one in rules)), None)

    def _selects_object(self, request: AdmissionRequest) -> bool:
        if not self.objects.requirements and not self.objects.nothing:
            return True
        return any(
            self.objects.matches((one.get("metadata") or {}).get("labels") or {})
            for one in (request.obj, request.old)
            if one is not None and "metadata" in one
        )

    async def _selects_namespace(self, request: AdmissionRequest, lookup: Lookup) -> bool:
        selector = self.namespaces
        if not selector.requirements and not selector.nothing:
            return True
        if is_namespace(request.kind):
            obj = request.obj if request.obj is not None and not request.subresource else request.old
            return selector.matches(((obj or {}).get("metadata") or {}).get("labels") or {})
        if not request.namespace:
            return True
        return selector.matches(await _find_labels(request.namespace, lookup))


async def _find_labels(name: str, lookup: Lookup) -> Mapping[str, str]:
    namespace = await lookup.find(NAMESPACES, "", name)
    labels: Mapping[str, str] = ((namespace or {}).get("metadata") or {}).get("labels") or {}
    return labels


def parse_criteria(match: JsonObject, *, rules: str, none_is_all: bool = False) -> Criteria:
    """Return the criteria of a webhook, a policy's matchConstraints or a binding's matchResources; `rules` is the field that holds them."""
    found = tuple(parse_rule(one) for one in match.get(rules) or ())
    return Criteria(
        rules=None if none_is_all and not found else found,
        excluded=tuple(parse_rule(one) for one in match.get("excludeResourceRules") or ()),
        namespaces=_selector(match.get("namespaceSelector")),
        objects=_selector(match.get("objectSelector")),
        is_equivalent=(match.get("matchPolicy") or "Equivalent") == "Equivalent",
    )


def _selector(selector: JsonObject | None) -> LabelSelector:
    if selector is None:
        return EVERYTHING
    try:
        return selector_from_object(selector)
    except SelectorError:  # validation lets none in, but the datastore may be older than it
        return NOTHING


def is_namespace(kind: Kind) -> bool:
    """Say whether objects of the kind are namespaces."""
    return kind.plural == "namespaces" and not kind.group


def is_exempt(kind: Kind) -> bool:
    """Say whether the kind configures admission itself: nothing that it configures can look at it."""
    return kind.group == _GROUP


def _iter_equivalents(kind: Kind, kinds: KindRegistry) -> Iterator[Kind]:
    """Yield the other versions of a kind: all that lie in the store at the same place."""
    for one in kinds:
        if one is not kind and one.storage.prefix == kind.storage.prefix:
            yield one


async def convert_object(kind: Kind, target: Kind, obj: JsonObject) -> JsonObject:
    """Return a copy of an object in another version. Raises ApiError."""
    if kind is target:
        copy: JsonObject = deep_copy(obj)
        return copy
    if kind.convert is not None:
        return (await kind.convert([deep_copy(obj)], target.api_version))[0]
    converted: JsonObject = deep_copy(obj)
    for step in (kind.to_storage, target.from_storage):
        if step is not None:
            converted = step(converted)
    return {**converted, "kind": target.kind, "apiVersion": target.api_version}


async def convert(request: AdmissionRequest, kind: Kind, obj: JsonObject | None) -> JsonObject | None:
    """Return an object of the request in the version of `kind`; objects of other kinds (Scale, …) have only one. Raises ApiError."""
    if obj is None or kind is request.kind or obj.get("kind") != request.kind.kind:
        return obj
    return await convert_object(request.kind, kind, obj)

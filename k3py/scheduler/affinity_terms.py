"""Pod affinity terms, parsed. Source: k8s.io/kube-scheduler/framework/types.go v0.35."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.selectors import LabelSelector, selector_from_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3py.jsontypes import JsonObject

_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"


@dataclass(frozen=True, slots=True)
class AffinityTerm:
    """Selects pods by namespace and labels within a topology; `weight` of preferred ones."""

    selector: LabelSelector
    namespaces: frozenset[str]
    namespace_selector: LabelSelector | None
    topology_key: str
    weight: int = 0

    def covers_namespace(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Say whether pods of a namespace with these labels count."""
        if namespace in self.namespaces:
            return True
        return self.namespace_selector is not None and self.namespace_selector.matches(labels)


@dataclass(frozen=True, slots=True)
class PodAffinity:
    """All terms of a pod."""

    affinity: tuple[AffinityTerm, ...]
    anti_affinity: tuple[AffinityTerm, ...]
    preferred: tuple[AffinityTerm, ...]
    anti_preferred: tuple[AffinityTerm, ...]


def parse_affinity(pod: JsonObject) -> PodAffinity | None:
    """Return the terms of a pod, None when it has none."""
    affinity = pod["spec"].get("affinity") or {}
    to, against = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
    if not to and not against:
        return None
    namespace = pod["metadata"]["namespace"]
    parsed = PodAffinity(
        tuple(_parse(one, namespace) for one in to.get(_REQUIRED) or ()),
        tuple(_parse(one, namespace) for one in against.get(_REQUIRED) or ()),
        _parse_preferred(to.get(_PREFERRED) or (), namespace),
        _parse_preferred(against.get(_PREFERRED) or (), namespace),
    )
    return (
        parsed
        if parsed.affinity or parsed.anti_affinity or parsed.preferred or parsed.anti_preferred
        else None
    )


def _parse_preferred(terms: Sequence[JsonObject], namespace: str) -> tuple[AffinityTerm, ...]:
    return tuple(_parse(one["podAffinityTerm"], namespace, int(one["weight"])) for one in terms)


def _parse(term: JsonObject, namespace: str, weight: int = 0) -> AffinityTerm:
    names, selector = term.get("namespaces") or (), term.get("namespaceSelector")
    return AffinityTerm(
        selector_from_object(term.get("labelSelector")),
        frozenset(names) if names or selector is not None else frozenset((namespace,)),
        None if selector is None else selector_from_object(selector),
        str(term["topologyKey"]),
        weight,
    )

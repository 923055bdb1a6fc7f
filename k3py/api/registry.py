"""The table of kinds that a server serves; CustomResourceDefinitions add and remove entries at run time.

One owner (the server) holds an instance; there is no global. Built-in kinds come from `k3py.api.kinds.ALL`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from k3py.api.kind import Kind


class KindRegistry:
    """Kinds by (group, version, plural) and by (group, version, kind); iteration keeps the order of addition."""

    def __init__(self, kinds: Iterable[Kind] = ()) -> None:
        self._by_plural: dict[tuple[str, str, str], Kind] = {}
        self._by_kind: dict[tuple[str, str, str], Kind] = {}
        self.generation = 0  # goes up with every change, so that discovery documents know when they are stale
        for kind in kinds:
            self.add(kind)

    def add(self, kind: Kind) -> None:
        """Add a kind, or replace the one of the same group, version and plural."""
        self._by_plural[kind.group, kind.version, kind.plural] = kind
        self._by_kind[kind.group, kind.version, kind.kind] = kind
        self.generation += 1

    def remove(self, kind: Kind) -> None:
        """Remove a kind; unknown ones are ignored."""
        self._by_plural.pop((kind.group, kind.version, kind.plural), None)
        self._by_kind.pop((kind.group, kind.version, kind.kind), None)
        self.generation += 1

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        """Return the kind served at that URL segment, if any."""
        return self._by_plural.get((group, version, plural))

    def find_by_kind(self, api_version: str, kind: str) -> Kind | None:
        """Return the kind of an object with this apiVersion and kind, if served."""
        group, _, version = api_version.rpartition("/")
        return self._by_kind.get((group, version, kind))

    def has_group(self, group: str) -> bool:
        """Say whether any version of the group is served."""
        return any(known[0] == group for known in self._by_plural)

    def __iter__(self) -> Iterator[Kind]:
        return iter(tuple(self._by_plural.values()))

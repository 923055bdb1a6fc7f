"""The table of kinds that a server serves; CustomResourceDefinitions add and remove entries at run time.

One owner (the server) holds an instance; there is no global. Built-in kinds come from `k3py.api.kinds.ALL`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from k3py.api.kind import Kind
    from k3py.api.resource import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignVersion:
    """A group and version that another server serves.

    available: it can be asked now. resources: what it said last that it serves, each with the verbs that it takes.
    """

    group: str
    version: str
    available: bool
    resources: tuple[tuple[Resource, frozenset[str]], ...]


def _no_foreign() -> Sequence[ForeignVersion]:
    return ()


class KindRegistry:
    """Kinds by (group, version, plural) and by (group, version, kind); iteration keeps the order of addition."""

    def __init__(self, kinds: Iterable[Kind] = ()) -> None:
        self._by_plural: dict[tuple[str, str, str], Kind] = {}
        self._by_kind: dict[tuple[str, str, str], Kind] = {}
        self._listeners: list[Callable[[], None]] = []
        # Tells what other servers serve; whoever knows them sets it.
        self.list_foreign: Callable[[], Sequence[ForeignVersion]] = _no_foreign
        self.generation = 0  # goes up with every change, so that discovery documents know when they are stale
        for kind in kinds:
            self.add(kind)

    def add(self, kind: Kind) -> None:
        """Add a kind, or replace the one of the same group, version and plural."""
        self._by_plural[kind.group, kind.version, kind.plural] = kind
        self._by_kind[kind.group, kind.version, kind.kind] = kind
        self._tell()

    def remove(self, kind: Kind) -> None:
        """Remove a kind; unknown ones are ignored."""
        self._by_plural.pop((kind.group, kind.version, kind.plural), None)
        self._by_kind.pop((kind.group, kind.version, kind.kind), None)
        self._tell()

    def _tell(self) -> None:
        self.generation += 1
        for listener in tuple(self._listeners):
            listener()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener()` after every change, in the caller's turn of the loop; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        """Return the kind served at that URL segment, if any."""
        return self._by_plural.get((group, version, plural))

    def find_by_kind(self, api_version: str, kind: str) -> Kind | None:
        """Return the kind of an object with this apiVersion and kind, if served."""
        group, _, version = api_version.rpartition("/")
        return self._by_kind.get((group, version, kind))

    def list_stores(self) -> Iterator[Kind]:
        """Yield one version of each kind that is stored: the stored one, or another one where that is not served."""
        found: dict[str, Kind] = {}
        for kind in self:
            is_stored = not kind.storage_version or kind.storage_version == kind.api_version
            if is_stored or kind.storage.prefix not in found:
                found[kind.storage.prefix] = kind
        yield from found.values()

    def is_custom_group(self, group: str) -> bool:
        """Say whether the group is served, and by CustomResourceDefinitions."""
        return any(kind.group == group and kind.structure is not None for kind in self._by_plural.values())

    def has_group(self, group: str) -> bool:
        """Say whether any version of the group is served."""
        return any(known[0] == group for known in self._by_plural)

    def __iter__(self) -> Iterator[Kind]:
        return iter(tuple(self._by_plural.values()))

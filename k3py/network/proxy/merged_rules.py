"""MergedRules: the rules of all services as one table, and what of it a changed service changes. No I/O.

Each service brings a part: chains and sets of its own, shared chains (all services with three endpoints share one), and elements of shared
maps. Two services that claim the same element (the same external address and port): the first in order has it, until it goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.network.ruleset import Chain, Ruleset

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from k3py.network.interface import ServiceKey

_NOTHING = Ruleset()


class MergedRules:
    """See the module.

    Args:
        base: what is there without any service, all maps included.
    """

    def __init__(self, base: Ruleset) -> None:
        self._base = base
        self._parts: dict[ServiceKey, Ruleset] = {}
        self._chains: dict[str, Chain] = {}
        self._sets: dict[str, str] = {}
        self._uses: dict[str, int] = {}
        self._owners: dict[str, dict[str, ServiceKey]] = {name: {} for name in base.elements}
        self._rivals: dict[tuple[str, str], set[ServiceKey]] = {}

    def whole(self) -> Ruleset:
        """Return the whole table."""
        elements = {
            name: {key: self._parts[owner].elements[name][key] for key, owner in owners.items()}
            for name, owners in self._owners.items()
        }
        return Ruleset(
            chains=self._base.chains | self._chains,
            sets=self._base.sets | self._sets,
            maps=self._base.maps,
            elements=elements,
        )

    def change(self, parts: Mapping[ServiceKey, Ruleset | None]) -> tuple[Ruleset, Ruleset]:
        """Take changed parts (None: the service is gone); return what the table had of what they touch, and what it has of it now."""
        touched: dict[tuple[str, str], None] = {}
        names: dict[str, None] = {}
        for owner, new in parts.items():
            before, after = self._parts.get(owner, _NOTHING), new or _NOTHING
            names.update(dict.fromkeys((*before.chains, *before.sets, *after.chains, *after.sets)))
            for name in (*before.elements, *(one for one in after.elements if one not in before.elements)):
                was, now = before.elements.get(name, {}), after.elements.get(name, {})
                touched.update(((name, key), None) for key, value in was.items() if now.get(key) != value)
                touched.update(((name, key), None) for key, value in now.items() if was.get(key) != value)
        old = self._excerpt(names, touched)
        for owner, new in parts.items():
            self._take(owner, new)
        return old, self._excerpt(names, touched)

    def _excerpt(self, names: Iterable[str], touched: Iterable[tuple[str, str]]) -> Ruleset:
        found = Ruleset(
            chains={name: self._chains[name] for name in names if name in self._chains},
            sets={name: self._sets[name] for name in names if name in self._sets},
        )
        for name, key in touched:
            elements = found.elements.setdefault(name, {})
            if (owner := self._owners[name].get(key)) is not None:
                elements[key] = self._parts[owner].elements[name][key]
        return found

    def _take(self, owner: ServiceKey, new: Ruleset | None) -> None:
        """Replace a service's part; elements that it keeps stay its own."""
        old = self._parts.pop(owner, _NOTHING)
        if new is not None:
            self._parts[owner] = new
        new = new or _NOTHING
        for name in (*new.chains, *new.sets):
            self._uses[name] = self._uses.get(name, 0) + 1
        self._chains |= new.chains
        self._sets |= new.sets
        for name in (*old.chains, *old.sets):
            self._uses[name] -= 1
            if not self._uses[name]:
                del self._uses[name]
                self._chains.pop(name, None)
                self._sets.pop(name, None)
        for name, elements in old.elements.items():
            kept = new.elements.get(name, {})
            for key in elements:
                if key not in kept:
                    self._release(owner, name, key)
        for name, elements in new.elements.items():
            for key in elements:
                self._claim(owner, name, key)

    def _claim(self, owner: ServiceKey, name: str, key: str) -> None:
        owners = self._owners[name]
        present = owners.setdefault(key, owner)
        if present != owner:
            owners[key], loser = min(present, owner), max(present, owner)
            self._rivals.setdefault((name, key), set()).add(loser)

    def _release(self, owner: ServiceKey, name: str, key: str) -> None:
        owners, rivals = self._owners[name], self._rivals.get((name, key), set())
        rivals.discard(owner)
        if owners[key] == owner:
            if rivals:
                owners[key] = min(rivals)
                rivals.discard(owners[key])
            else:
                del owners[key]
        if not rivals:
            self._rivals.pop((name, key), None)

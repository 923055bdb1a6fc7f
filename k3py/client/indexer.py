"""What an informer knows: objects by namespace and name, and by index values.

Entries may be parsed documents (HTTP) or views that parse themselves when somebody asks (in-process); `load` turns an entry into
its document. The model is client-go's tools/cache thread_safe_store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from k3py.jsontypes import JsonObject

E = TypeVar("E")

Key = tuple[str, str]


class Indexer(Generic[E]):
    """A `Lister` over entries of type E; the documents it returns are shared and READ-ONLY.

    Args:
        load: returns the document of an entry; called only when somebody wants the document.
    """

    def __init__(self, load: Callable[[E], JsonObject]) -> None:
        self._load = load
        self._namespaces: dict[str, dict[str, E]] = {}
        self._functions: dict[str, Callable[[JsonObject], Sequence[str]]] = {}
        self._indexes: dict[str, dict[str, dict[Key, E]]] = {}
        self._values: dict[str, dict[Key, tuple[str, ...]]] = {}

    def add_index(self, index: str, key_of: Callable[[JsonObject], Sequence[str]]) -> None:
        """Add an index and fill it with what is there; the same name replaces the function."""
        self._functions[index] = key_of
        self._indexes[index] = {}
        self._values[index] = {}
        for key, entry in self.items():
            self._enter(index, key, entry)

    def items(self) -> Iterator[tuple[Key, E]]:
        """Iterate over ((namespace, name), entry)."""
        for namespace, names in self._namespaces.items():
            for name, entry in names.items():
                yield (namespace, name), entry

    def entry(self, key: Key) -> E | None:
        """Return the entry of (namespace, name), if known."""
        names = self._namespaces.get(key[0])
        return None if names is None else names.get(key[1])

    def put(self, key: Key, entry: E) -> E | None:
        """Add or replace an entry; return the one that was there."""
        names = self._namespaces.setdefault(key[0], {})
        old = names.get(key[1])
        names[key[1]] = entry
        for index in self._functions:
            self._leave(index, key)
            self._enter(index, key, entry)
        return old

    def remove(self, key: Key) -> E | None:
        """Remove an entry; return the one that was there."""
        names = self._namespaces.get(key[0])
        if names is None or key[1] not in names:
            return None
        old = names.pop(key[1])
        if not names:
            del self._namespaces[key[0]]
        for index in self._functions:
            self._leave(index, key)
        return old

    def __len__(self) -> int:
        return sum(len(names) for names in self._namespaces.values())

    def find(self, namespace: str, name: str) -> JsonObject | None:
        """Return the object, if known."""
        entry = self.entry((namespace, name))
        return None if entry is None else self._load(entry)

    def list(self, namespace: str = "") -> Sequence[JsonObject]:
        """Return all objects, or those of a namespace, in no particular order."""
        if namespace:
            return [self._load(entry) for entry in self._namespaces.get(namespace, {}).values()]
        return [self._load(entry) for _, entry in self.items()]

    def by_index(self, index: str, value: str) -> Sequence[JsonObject]:
        """Return the objects for which the index function gave `value`; raises KeyError for an unknown index."""
        return [self._load(entry) for entry in self._indexes[index].get(value, {}).values()]

    def _enter(self, index: str, key: Key, entry: E) -> None:
        values = tuple(self._functions[index](self._load(entry)))
        if not values:
            return
        self._values[index][key] = values
        buckets = self._indexes[index]
        for value in values:
            buckets.setdefault(value, {})[key] = entry

    def _leave(self, index: str, key: Key) -> None:
        buckets = self._indexes[index]
        for value in self._values[index].pop(key, ()):
            bucket = buckets.get(value)
            if bucket is not None:
                bucket.pop(key, None)
                if not bucket:
                    del buckets[value]

"""The shared part of every informer: an indexer, handlers, and how lists and events become calls of the handlers.

Whoever feeds it (in-process watch, reflector over HTTP, fake) calls `replace` with complete lists and `apply` with single changes,
in the order of the API. Model: client-go tools/cache shared_informer (0.35); there is one goroutine less: handlers run in the feeder.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from k3py.client.indexer import Indexer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from k3py.client.indexer import Key
    from k3py.client.interface import Lister
    from k3py.jsontypes import JsonObject

E = TypeVar("E")

Handler = "Callable[[JsonObject | None, JsonObject | None], None]"


class SharedInformer(Generic[E]):
    """An `Informer` over entries of type E.

    Args:
        load: returns the document of an entry.
        version: returns what changes with every write of an entry (resourceVersion).
    """

    def __init__(self, load: Callable[[E], JsonObject], version: Callable[[E], str | int]) -> None:
        self._load = load
        self._version = version
        self._indexer: Indexer[E] = Indexer(load)
        self._handlers: list[Callable[[JsonObject | None, JsonObject | None], None]] = []
        self._synced = asyncio.Event()

    @property
    def lister(self) -> Lister:
        """The view; complete once `wait_synced` returned."""
        return self._indexer

    @property
    def synced(self) -> bool:
        """Say whether the first complete list was delivered."""
        return self._synced.is_set()

    def add_handler(self, handler: Callable[[JsonObject | None, JsonObject | None], None]) -> None:
        """Call `handler(old, new)` for every change; what is known already is delivered to it as added, at once."""
        self._handlers.append(handler)
        for _, entry in list(self._indexer.items()):
            handler(None, self._load(entry))

    def add_index(self, index: str, key_of: Callable[[JsonObject], Sequence[str]]) -> None:
        """Index objects by the values of `key_of`."""
        self._indexer.add_index(index, key_of)

    async def wait_synced(self) -> None:
        """Return once the first complete list was delivered."""
        await self._synced.wait()

    def replace(self, entries: Mapping[Key, E]) -> None:
        """Take over a complete list: handlers hear of differences only, deletions first seen here included."""
        for key, _ in list(self._indexer.items()):
            if key not in entries:
                self.delete(key, None)
        for key, entry in entries.items():
            self.put(key, entry)
        self._synced.set()

    def forget(self) -> None:
        """Nothing more comes: let go of what was known, without telling."""
        for key, _ in list(self._indexer.items()):
            self._indexer.remove(key)
        self._synced.set()  # nobody shall wait for a list that never comes

    def put(self, key: Key, entry: E) -> None:
        """Take over an added or changed object; one of the version that is known already is no change."""
        old = self._indexer.entry(key)
        if old is not None and self._version(old) == self._version(entry):
            return
        self._indexer.put(key, entry)
        if self._handlers:
            old_document = None if old is None else self._load(old)
            new_document = self._load(entry)
            for handler in tuple(self._handlers):
                handler(old_document, new_document)

    def delete(self, key: Key, last: E | None) -> None:
        """Take over a deletion; `last` is its last state where the feeder knows it."""
        old = self._indexer.remove(key)
        if old is None:
            return
        if self._handlers:
            document = self._load(old if last is None else last)
            for handler in tuple(self._handlers):
                handler(document, None)


def key_of_document(obj: JsonObject) -> Key:
    """Return (namespace, name) of an object."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def version_of_document(obj: JsonObject) -> str:
    """Return metadata.resourceVersion."""
    return str(obj["metadata"].get("resourceVersion", ""))


def identity(obj: JsonObject) -> JsonObject:
    """Return `obj`: the `load` of informers whose entries are documents."""
    return obj

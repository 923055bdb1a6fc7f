"""Follows all objects of a kind, for indexes that the API server itself needs (who may do what, which pod is where).

The watch cache is in the same process, so an index is behind by one turn of the loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.storage.errors import RevisionExpired, TooManyWatchers
from k3py.storage.interface import ListQuery, WatchQuery, WatchType

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.api.kind import Kind
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import Storage, Store

Key = tuple[str, str]


class Follower:
    """Tells `handle((namespace, name), object)` of every object as it is now and changes; object None = it is gone."""

    def __init__(
        self, storage: Storage, kind: Kind, handle: Callable[[Key, JsonObject | None], None]
    ) -> None:
        self._storage = storage
        self._kind = kind
        self._handle = handle
        self._known: set[Key] = set()

    async def run(self, ready: Callable[[], None]) -> None:
        """Follow until cancelled; `ready` is called once, when all present objects have been told.

        Raises:
            StorageError: the datastore went away.
        """
        store = await self._storage.store_for(self._kind)
        told = False
        while True:
            revision = await self._replace(store)
            if not told:
                told = True
                ready()
            try:
                await self._follow(store, revision)
            except (RevisionExpired, TooManyWatchers):
                continue  # the history behind us is gone: look at everything again

    async def _replace(self, store: Store) -> int:
        page = await store.list(ListQuery())
        seen = set()
        for view in page.items:
            key = (view.namespace, view.name)
            seen.add(key)
            self._handle(key, view.parsed)
        for key in self._known - seen:
            self._handle(key, None)
        self._known = seen
        return page.revision

    async def _follow(self, store: Store, revision: int) -> None:
        async with store.watch(WatchQuery(after=revision)) as batches:
            async for batch in batches:
                for item in batch:
                    if item.type is WatchType.BOOKMARK:
                        continue
                    key = (item.object.namespace, item.object.name)
                    if item.type is WatchType.DELETED:
                        self._known.discard(key)
                        self._handle(key, None)
                    else:
                        self._known.add(key)
                        self._handle(key, item.object.parsed)

"""Opens object storage over a datastore: the hub runs, stores are opened when somebody asks for them."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from k3py.datastore.errors import DatastoreError
from k3py.storage.codec import Codec, Identity
from k3py.storage.errors import StorageError, StorageUnavailable, StoreDropped
from k3py.storage.feed import DurableFeed, decode
from k3py.storage.hub import Hub, read_all
from k3py.storage.keys import make_prefix
from k3py.storage.lease_pool import LeasePool
from k3py.storage.parsed_pool import ParsedPool
from k3py.storage.store import ObjectStore
from k3py.storage.volatile import VolatileFeed, VolatileRevisions, VolatileStore
from k3py.storage.watch_cache.cache import WatchCache
from k3py.storage.watch_cache.ring import EventRing
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from k3py.api.kind import Kind
    from k3py.datastore.interface import Backend
    from k3py.jsontypes import JsonObject
    from k3py.storage.codec import TransformerSource
    from k3py.storage.interface import Storage, Store

log = logging.getLogger(__name__)

# Drivers of which one process at a time is the only writer: only there may heartbeats stay in memory.
SINGLE_WRITER_DRIVERS: Final = ("memory", "sqlite")
WRITE_DOWN_S: Final = 5.0


class CachedStorage:
    """All stores of a server; see `open_storage`."""

    def __init__(
        self,
        backend: Backend,
        scope: TaskScope,
        transformers: TransformerSource,
        driver: str,
        pool: ParsedPool,
    ) -> None:
        self._backend = backend
        self._scope = scope
        self._transformers = transformers
        self._has_single_writer = driver in SINGLE_WRITER_DRIVERS
        self._pool = pool
        self._stores: dict[str, asyncio.Future[ObjectStore]] = {}
        self.hub = Hub(backend)

    @property
    def current_revision(self) -> int:
        """The newest revision."""
        return self._backend.current_revision

    async def store_for(self, kind: Kind) -> Store:
        """Return the store of a kind, its cache filled; served versions that share a storage prefix share a store."""
        prefix = kind.storage.prefix
        opening = self._stores.get(prefix)
        if opening is None:
            opening = asyncio.get_running_loop().create_future()
            self._stores[prefix] = opening
            _ = self._scope.spawn(self._open_into(opening, _stored_kind(kind)), name=f"open-store-{prefix}")
        if opening.done():
            return opening.result()
        return await asyncio.shield(opening)

    def drop(self, kind: Kind) -> None:
        """Forget the store of a kind that is served no longer; its watchers end."""
        self._stores.pop(kind.storage.prefix, None)
        self.hub.unregister(
            make_prefix(kind), StoreDropped(f"{kind.plural}.{kind.group} is not served any longer")
        )

    async def count(self, kind: Kind) -> int:
        """Return how many objects of a kind there are."""
        store = await self.store_for(kind)
        return len(store) if isinstance(store, ObjectStore) else 0

    def count_open(self, kind: Kind) -> int | None:
        """Return how many objects of a kind there are, None when nobody has asked for that kind yet."""
        opening = self._stores.get(kind.storage.prefix)
        if opening is None or not opening.done() or opening.cancelled() or opening.exception() is not None:
            return None
        return len(opening.result())

    async def reseal(self, kind: Kind, report: Callable[[int], None]) -> None:
        """Seal all objects of a kind that are sealed otherwise by the rules in force; `report(n)`: n more are done.

        Safe to stop at any point and to run again. Raises StorageError, DatastoreError.
        """
        store = await self.store_for(kind)
        if isinstance(store, ObjectStore):
            await store.reseal(report)

    async def write_down(self) -> None:
        """Write what so far is only in memory."""
        for opening in self._stores.values():
            if opening.done() and opening.exception() is None:
                store = opening.result()
                if isinstance(store, VolatileStore):
                    await store.write_down()

    async def _open_into(self, opening: asyncio.Future[ObjectStore], kind: Kind) -> None:
        try:
            store = await self._open(kind)
        except (StorageError, DatastoreError) as error:
            self._stores.pop(kind.storage.prefix, None)
            self.hub.unregister(make_prefix(kind), error)
            failure = error if isinstance(error, StorageError) else StorageUnavailable(str(error))
            if not opening.done():
                opening.set_exception(failure)
                opening.exception()  # marks it as seen: whoever waited may be gone
        except asyncio.CancelledError:
            opening.cancel()
            raise
        else:
            if not opening.done():
                opening.set_result(store)

    async def _open(self, kind: Kind) -> ObjectStore:
        prefix = make_prefix(kind)
        codec = Codec(kind, self._pool, self._transformers.transformer_for(kind))
        if kind.storage.durability == "volatile" and self._has_single_writer:
            return await self._open_volatile(kind, prefix, codec)
        feed = DurableFeed(prefix, codec)
        self.hub.register(prefix, feed)
        kvs, revision = await read_all(self._backend, prefix)
        views = {}
        for kv in kvs:
            view = decode(codec, kv, kv.mod_revision)
            if view is not None:
                views[kv.key[len(prefix) :].decode()] = view
        await self.hub.revisions.wait_for(revision)
        cache = WatchCache(codec, self.hub.revisions, EventRing(revision), views)
        feed.attach(cache, revision)
        leases = LeasePool(self._backend, kind.storage.ttl_s) if kind.storage.ttl_s else None
        return ObjectStore(self._backend, self.hub, prefix, codec, cache, leases=leases)

    async def _open_volatile(self, kind: Kind, prefix: bytes, codec: Codec) -> ObjectStore:
        revisions = await VolatileRevisions.open(self._backend, kind.storage.prefix)
        feed = VolatileFeed(prefix, codec, revisions)
        self.hub.register(prefix, feed)
        kvs, filled_at = await read_all(self._backend, prefix)
        views = {}
        for kv in kvs:
            revision = revisions.take()
            view = decode(codec, kv, revision)
            if view is not None:
                local_key = kv.key[len(prefix) :].decode()
                views[local_key] = view
                feed.stored[local_key] = kv.mod_revision
                revisions.clock.advance(revision)
        await self.hub.revisions.wait_for(filled_at)
        cache = WatchCache(codec, revisions.clock, EventRing(revisions.clock.revision), views)
        feed.attach(cache, filled_at)
        return VolatileStore(self._backend, self.hub, prefix, codec, cache, feed=feed, revisions=revisions)


def open_storage(
    backend: Backend, *, transformers: TransformerSource | None = None, detect_mutations: bool = False
) -> AbstractAsyncContextManager[CachedStorage]:
    """Open object storage over `backend`; leaving the context writes heartbeats down and ends all watches.

    Args:
        backend: open, and kept open by the caller until this is closed.
        transformers: encryption at rest, None = none.
        detect_mutations: compare shared documents with their bytes when they are forgotten, and fail if somebody changed one; for tests.

    Raises:
        StorageUnavailable: while it is open, out of the `async with`: the datastore went away.
        AssertionError: on leaving, with `detect_mutations`: names the objects.
    """
    return _open_storage(backend, transformers or Identity(), ParsedPool(detect_mutations=detect_mutations))


@asynccontextmanager
async def _open_storage(
    backend: Backend, transformers: TransformerSource, pool: ParsedPool
) -> AsyncIterator[CachedStorage]:
    status = await backend.status()
    async with TaskScope() as scope:
        storage = CachedStorage(backend, scope, transformers, status.driver, pool)
        running = asyncio.Event()
        hub = scope.spawn(storage.hub.run(running.set), name="storage-hub")
        await running.wait()
        try:
            yield storage
        finally:
            # Also when we are cancelled: that is how servers stop.
            if not hub.done():
                await _write_down(storage)
            scope.cancel()
    pool.close()


async def _write_down(storage: CachedStorage) -> None:
    try:
        async with asyncio.timeout(WRITE_DOWN_S):
            await storage.write_down()
    except (StorageError, TimeoutError) as error:
        log.warning("renewals of leases were not written down", extra={"error": str(error)})


def _stored_kind(kind: Kind) -> Kind:
    """Return the record of the version in which objects of `kind` are stored."""
    if kind.stored is not None:
        return kind.stored
    if not kind.storage_version or kind.storage_version == kind.api_version:
        return kind
    from k3py.api import kinds  # noqa: PLC0415 - needed only when another version is asked for first

    known: tuple[Kind, ...] = getattr(kinds, "ALL", ())
    for one in known:
        if one.storage.prefix == kind.storage.prefix and one.api_version == kind.storage_version:
            return one
    group, _, version = kind.storage_version.rpartition("/")
    fields = kind.selectable_fields
    if kind.from_storage is not None:
        fields = {name: _of_served(kind.from_storage, getter) for name, getter in fields.items()}
    return dataclasses.replace(
        kind,
        group=group,
        version=version,
        storage_version="",
        to_storage=None,
        from_storage=None,
        selectable_fields=fields,
    )


def _of_served(
    from_storage: Callable[[JsonObject], JsonObject], getter: Callable[[JsonObject], str]
) -> Callable[[JsonObject], str]:
    return lambda obj: getter(from_storage(obj))


if TYPE_CHECKING:

    def _check(one: CachedStorage) -> Storage:
        return one

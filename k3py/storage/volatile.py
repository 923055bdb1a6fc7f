"""Heartbeats that never reach the disk: kinds whose durability is "volatile" (Leases), in a server that is the only writer.

What is durable of such a kind: creations, deletions and every change of meaning (who holds a lease, for how long). What is not: an
update that only renews (spec.renewTime and managedFields differ). It changes the cache alone; a clean stop writes the last one down. A
crash loses renewals only, which readers survive: client-go and the node lifecycle controller judge a lease by when they saw it change
last, not by the time that it holds. So a lease never changes hands early, and an idle server writes nothing.

Revisions: the kind has its own sequence, since heartbeats must not consume revisions of the datastore, which are dense and all on disk.
It starts above both the datastore's revision and everything it may have handed out before; for that, a block of numbers is reserved
durably ahead of their use (one write a start, or per half a million heartbeats). So revisions of the kind grow for ever, across crashes
too, and no number means two states. After a restart all objects of the kind carry new revisions: a watch from an old one is told 410
and an update with an old one 409, as after a write of somebody else.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import orjson

from k3py.datastore.interface import EventType, Revision
from k3py.storage.errors import StorageUnavailable
from k3py.storage.feed import decode
from k3py.storage.revision_clock import RevisionClock
from k3py.storage.store import ObjectStore, translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.datastore.interface import Backend, Event, KeyValue
    from k3py.jsontypes import JsonObject
    from k3py.storage.cached_object import CachedObject
    from k3py.storage.codec import Codec
    from k3py.storage.hub import Feed, Hub
    from k3py.storage.watch_cache.cache import WatchCache

BLOCK: Final = 1_000_000
RESERVATION_ROOT: Final = b"/k3py/revisions/"


class VolatileRevisions:
    """The revision sequence of a volatile kind.

    Args:
        key: datastore key of the reservation.
        start: the sequence goes on behind this number.
        limit: numbers up to this one are reserved.
    """

    def __init__(self, backend: Backend, key: bytes, *, start: int, limit: int) -> None:
        self._backend = backend
        self._key = key
        self._limit = limit
        self._reserving = asyncio.Lock()
        self.clock = RevisionClock(start)

    @classmethod
    async def open(cls, backend: Backend, name: str) -> VolatileRevisions:
        """Read what was handed out before and reserve the first block."""
        key = RESERVATION_ROOT + name.encode()
        found = await backend.range(key)
        before = int(found.kvs[0].value) if found.kvs else 0
        start = max(before, found.revision)
        revisions = cls(backend, key, start=start, limit=start)
        await revisions.ensure()
        return revisions

    async def ensure(self) -> None:
        """Reserve the next block if half of the last one is used."""
        if self._limit - self.clock.revision > BLOCK // 2:
            return
        async with self._reserving:
            if self._limit - self.clock.revision > BLOCK // 2:
                return
            limit = self.clock.revision + BLOCK
            found = await self._backend.range(self._key)
            value = b"%d" % limit
            if found.kvs:
                done, _ = await self._backend.update(self._key, value, expected=found.kvs[0].mod_revision)
            else:
                done = await self._backend.create(self._key, value)
            if done is None:
                raise StorageUnavailable(
                    "another process reserves revisions in this datastore", key=self._key.decode()
                )
            self._limit = limit

    def take(self) -> int:
        """Return the next revision; whoever takes it advances the clock to it when the cache has the change."""
        revision = self.clock.revision + 1
        if revision > self._limit:
            raise StorageUnavailable("out of reserved revisions")
        return revision


class VolatileFeed:
    """Takes in durable changes of a volatile kind under revisions of its own sequence."""

    def __init__(self, prefix: bytes, codec: Codec, revisions: VolatileRevisions) -> None:
        self._prefix_length = len(prefix)
        self._codec = codec
        self._revisions = revisions
        self._cache: WatchCache | None = None
        self._buffer: list[Event] = []
        self._state: tuple[Sequence[KeyValue], int] | None = None  # came before the cache
        self.stored: dict[str, Revision] = {}  # local key → revision in the datastore

    def attach(self, cache: WatchCache, filled_at: int) -> None:
        """Go over to `cache`, which holds the state of the datastore's revision `filled_at`."""
        self._cache = cache
        buffer, self._buffer = self._buffer, []
        state, self._state = self._state, None
        if state is not None and state[1] > filled_at:
            self.reset(*state)
            filled_at = state[1]
        for event in buffer:
            if event.kv.mod_revision > filled_at:
                self.apply(event)
        cache.notify()

    def apply(self, event: Event) -> None:
        """Take in a change."""
        if self._cache is None:
            self._buffer.append(event)
            return
        local_key = event.kv.key[self._prefix_length :].decode()
        revision = self._revisions.take()
        if event.type is EventType.DELETE:
            self.stored.pop(local_key, None)
            self._cache.remove(local_key, revision)
        else:
            view = decode(self._codec, event.kv, revision)
            if view is None:
                return
            self.stored[local_key] = event.kv.mod_revision
            self._cache.put(local_key, view)
        self._revisions.clock.advance(revision)

    def reset(self, kvs: Sequence[KeyValue], revision: int) -> None:
        """Take in the whole state of the datastore's `revision`, after changes before it were missed; heartbeats stay."""
        if self._cache is None:
            self._state = (kvs, revision)
            self._buffer.clear()
            return
        views: dict[str, CachedObject] = {}
        stored: dict[str, Revision] = {}
        for kv in kvs:
            local_key = kv.key[self._prefix_length :].decode()
            known = self._cache.find(local_key)
            if known is None or self.stored.get(local_key) != kv.mod_revision:
                own = self._revisions.take()
                known = decode(self._codec, kv, own)
                self._revisions.clock.advance(own)
            if known is not None:
                views[local_key] = known
                stored[local_key] = kv.mod_revision
        self.stored = stored
        last = (
            self._revisions.take()
        )  # also when there are only deletions, the state has a revision of its own
        self._cache.replace(views, last)
        self._revisions.clock.advance(last)

    def flush(self) -> None:
        """Wake the watchers."""
        if self._cache is not None:
            self._cache.notify()

    def close(self, error: Exception) -> None:
        """End the watchers."""
        if self._cache is not None:
            self._cache.close(error)
        self._revisions.clock.fail(error)


class VolatileStore(ObjectStore):
    """The store of a volatile kind; see the module's docstring."""

    def __init__(
        self,
        backend: Backend,
        hub: Hub,
        prefix: bytes,
        codec: Codec,
        cache: WatchCache,
        *,
        feed: VolatileFeed,
        revisions: VolatileRevisions,
    ) -> None:
        super().__init__(backend, hub, prefix, codec, cache)
        self._feed = feed
        self._revisions = revisions
        self._dirty: set[str] = set()
        self._writing: dict[str, asyncio.Lock] = {}

    async def _commit_create(self, local_key: str, document: bytes) -> CachedObject | None:
        async with self._lock(local_key):
            key = self._key(local_key)
            with translated(local_key):
                revision = await self._backend.create(key, self._codec.seal(key, document))
            if revision is None:
                return None
            return await self._found(local_key, document, revision)

    async def _commit_update(
        self, local_key: str, view: CachedObject, document: bytes
    ) -> CachedObject | None:
        async with self._lock(local_key):
            if self._cache.find(local_key) is not view:
                return None
            await self._revisions.ensure()
            if is_heartbeat(view.parsed, orjson.loads(document)):
                return self._beat(local_key, document)
            key = self._key(local_key)
            with translated(local_key):
                revision, current = await self._backend.update(
                    key, self._codec.seal(key, document), expected=self._feed.stored[local_key]
                )
            if revision is None:
                await self._catch_up(current.mod_revision if current is not None else 0)
                return None
            self._dirty.discard(local_key)
            return await self._found(local_key, document, revision)

    async def _commit_delete(
        self, local_key: str, view: CachedObject, last: JsonObject | None
    ) -> CachedObject | None:
        async with self._lock(local_key):
            if self._cache.find(local_key) is not view:
                return None
            with translated(local_key):
                revision, current = await self._backend.delete(
                    self._key(local_key), expected=self._feed.stored[local_key]
                )
            if revision is None:
                await self._catch_up(current.mod_revision if current is not None else 0)
                return None
            self._dirty.discard(local_key)
            await self._hub.revisions.wait_for(revision)
            document = self._codec.encode(last) if last is not None else self._codec.document_of(view)
            return self._codec.view(document, self._cache.revision)

    async def write_down(self) -> None:
        """Write the last renewals to the datastore: part of a clean stop."""
        dirty, self._dirty = self._dirty, set()
        for local_key in sorted(dirty):
            view = self._cache.find(local_key)
            stored = self._feed.stored.get(local_key)
            if view is None or stored is None:
                continue
            key = self._key(local_key)
            with translated(local_key):
                await self._backend.update(
                    key, self._codec.seal(key, self._codec.document_of(view)), expected=stored
                )

    def _beat(self, local_key: str, document: bytes) -> CachedObject:
        revision = self._revisions.take()
        view = self._codec.view(document, revision)
        self._cache.put(local_key, view)
        self._revisions.clock.advance(revision)
        self._dirty.add(local_key)
        self._cache.notify()
        return view

    async def _found(self, local_key: str, document: bytes, revision: int) -> CachedObject:
        await self._hub.revisions.wait_for(revision)
        view = self._cache.find(local_key)
        return view if view is not None else self._codec.view(document, self._cache.revision)

    def _lock(self, local_key: str) -> asyncio.Lock:
        # One write of an object at a time: a heartbeat must not slip in under a durable write that is on its way.
        lock = self._writing.get(local_key)
        if lock is None:
            if len(self._writing) > 1000:
                self._writing = {key: one for key, one in self._writing.items() if one.locked()}
            lock = self._writing[local_key] = asyncio.Lock()
        return lock


def is_heartbeat(old: JsonObject, new: JsonObject) -> bool:
    """Say whether `new` only renews `old`: they differ in spec.renewTime, metadata.managedFields and resourceVersion at most."""
    return _strip(old) == _strip(new)


def _strip(obj: JsonObject) -> JsonObject:
    metadata = {k: v for k, v in obj["metadata"].items() if k not in ("managedFields", "resourceVersion")}
    spec = {k: v for k, v in (obj.get("spec") or {}).items() if k != "renewTime"}
    return {**obj, "metadata": metadata, "spec": spec}


if TYPE_CHECKING:

    def _check(one: VolatileFeed) -> Feed:
        return one

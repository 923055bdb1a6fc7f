"""The `Store` over the watch cache: reads from memory, writes through the datastore with optimistic concurrency.

A write returns when the cache has taken it in, so that whoever reads after it sees it. Model: k8s.io/apiserver/pkg/storage/cacher and
etcd3/store.go (GuaranteedUpdate) v0.35.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

from k3py.datastore.errors import Compacted, DatastoreError, FutureRevision, NoSpace
from k3py.datastore.interface import LeaseId, Revision
from k3py.storage.cached_object import RewrittenObject
from k3py.storage.continue_token import (
    INCONSISTENT,
    TOKEN_TTL_S,
    ContinueToken,
    parse_continue_token,
)
from k3py.storage.errors import (
    ObjectExists,
    ObjectNotFound,
    RevisionExpired,
    RevisionTooLarge,
    StorageFull,
    StorageUnavailable,
)
from k3py.storage.feed import decode
from k3py.storage.interface import Deleted, ListPage
from k3py.storage.keys import end_of, make_local_key
from k3py.storage.watch_cache.selection import Selection
from k3py.storage.watch_cache.watcher import Watcher
from k3py.storage.writing import Writing
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from k3py.api.kind import Kind
    from k3py.datastore.interface import Backend
    from k3py.jsontypes import JsonObject
    from k3py.storage.cached_object import CachedObject
    from k3py.storage.codec import Codec
    from k3py.storage.hub import Hub
    from k3py.storage.interface import ListQuery, ObjectView, Store, WatchItem, WatchQuery
    from k3py.storage.lease_pool import LeasePool
    from k3py.storage.watch_cache.cache import WatchCache

FRESH_TIMEOUT_S: Final = 3.0
MAX_CONFLICTS: Final = 1000
_RESEAL_PAGE: Final = 100
_EXPIRED_TOKEN: Final = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the "
    "continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing "
    "with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the "
    "time the first chunk was returned and now may show up in the list."
)


class ObjectStore:
    """Objects of one stored kind.

    Args:
        prefix: of the kind's keys, with its slash.
        codec: of the kind.
        cache: filled, fed by `hub`.
        leases: of a kind whose objects go by themselves.
    """

    def __init__(
        self,
        backend: Backend,
        hub: Hub,
        prefix: bytes,
        codec: Codec,
        cache: WatchCache,
        *,
        leases: LeasePool | None = None,
    ) -> None:
        self._backend = backend
        self._hub = hub
        self._prefix = prefix
        self._codec = codec
        self._cache = cache
        self._leases = leases
        self._in_flight = Writing()

    @property
    def kind(self) -> Kind:
        """The kind in its storage version."""
        return self._codec.kind

    @property
    def revision(self) -> int:
        """The newest revision of this kind's revisions."""
        return self._cache.revision

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self._cache)

    # --- reads -----------------------------------------------------------------------------------------------------

    async def get(self, namespace: str, name: str, *, any_cached: bool = False) -> ObjectView:
        """Return the current object."""
        if not any_cached:
            await self._hub.sync()
        local_key = make_local_key(namespace, name)
        view = self._cache.find(local_key)
        if view is None:
            raise ObjectNotFound(f"{local_key} not found", key=local_key)
        return view

    async def list(self, query: ListQuery) -> ListPage:
        """Return a page."""
        selection = Selection(self._codec.shape, query.namespace, query.labels, query.fields)
        if query.continue_token:
            return await self._continue(query, selection)
        if not query.any_cached and query.revision == 0:
            await self._hub.sync()
        await self._wait_fresh(query.revision)
        exact = query.match == "Exact" or (query.revision > 0 and query.limit > 0 and not query.match)
        if exact and query.revision > 0 and query.revision != self._cache.revision:
            views = await self._select_at(query.revision, selection, "")
            return self._page(views, query.revision, query, selection, clock.wall_s())
        views = self._cache.select(selection)
        return self._page(views, self._cache.revision, query, selection, clock.wall_s())

    async def _continue(self, query: ListQuery, selection: Selection) -> ListPage:
        token = parse_continue_token(query.continue_token)
        if token.revision == INCONSISTENT:
            await self._hub.sync()
            views = self._cache.select(selection, start=token.start)
            return self._page(views, self._cache.revision, query, selection, clock.wall_s())
        next_token = str(ContinueToken(INCONSISTENT, token.start, clock.wall_s()))
        if clock.wall_s() - token.issued_s > TOKEN_TTL_S:
            raise RevisionExpired(_EXPIRED_TOKEN, next_token=next_token)
        await self._wait_fresh(token.revision)
        try:
            views = await self._select_at(token.revision, selection, token.start)
        except RevisionExpired as error:
            raise RevisionExpired(_EXPIRED_TOKEN, next_token=next_token) from error
        return self._page(views, token.revision, query, selection, token.issued_s)

    async def _wait_fresh(self, revision: int) -> None:
        if not await self._cache.revisions.wait_for(revision, timeout_s=FRESH_TIMEOUT_S):
            current = self._cache.revision
            raise RevisionTooLarge(
                f"Too large resource version: {revision}, current: {current}", current=current
            )

    async def _select_at(self, revision: int, selection: Selection, start: str) -> Sequence[CachedObject]:
        try:
            return self._cache.select_at(revision, selection, start=start)
        except RevisionExpired:
            return await self._select_from_history(revision, selection, start)

    async def _select_from_history(
        self, revision: int, selection: Selection, start: str
    ) -> Sequence[CachedObject]:
        # Behind the ring's reach: the datastore's own history, until it is compacted.
        lower = start
        if selection.namespace:
            lower = max(start, f"{selection.namespace}/")
        with translated(""):
            result = await self._backend.range(
                self._prefix + lower.encode(), end_of(self._prefix), revision=revision
            )
        views = [decode(self._codec, kv, kv.mod_revision) for kv in result.kvs]
        return [view for view in views if view is not None and selection.accepts(view)]

    def _page(
        self,
        views: Sequence[CachedObject],
        revision: int,
        query: ListQuery,
        selection: Selection,
        issued_s: float,
    ) -> ListPage:
        if query.limit <= 0 or len(views) <= query.limit:
            return ListPage(items=views, revision=revision)
        last = views[query.limit - 1]
        start = make_local_key(last.namespace, last.name) + "\0"
        return ListPage(
            items=views[: query.limit],
            revision=revision,
            continue_token=str(ContinueToken(revision, start, issued_s)),
            remaining=None if selection.filtered else len(views) - query.limit,
        )

    def watch(self, query: WatchQuery) -> AbstractAsyncContextManager[AsyncIterator[Sequence[WatchItem]]]:
        """Follow changes in batches."""
        return self._watch(query)

    @asynccontextmanager
    async def _watch(self, query: WatchQuery) -> AsyncIterator[AsyncIterator[Sequence[WatchItem]]]:
        cache = self._cache
        selection = Selection(self._codec.shape, query.namespace, query.labels, query.fields)
        if query.initial_events or not query.after:
            if query.after:
                await self._wait_fresh(query.after)
            else:
                await self._hub.sync()
            yield Watcher(
                cache,
                selection,
                position=cache.ring.end,
                after=cache.revision,
                initial=cache.select(selection),
                mark_end=cache.revision if query.initial_events else None,
                bookmarks=query.bookmarks,
                lifetime_s=query.lifetime_s,
            )
            return
        if query.after < cache.ring.start_revision:
            raise RevisionExpired(f"too old resource version: {query.after} ({cache.ring.start_revision})")
        yield Watcher(
            cache,
            selection,
            position=cache.ring.position_after(query.after),
            after=query.after,
            bookmarks=query.bookmarks,
            lifetime_s=query.lifetime_s,
        )

    # --- writes ----------------------------------------------------------------------------------------------------

    async def create(self, obj: JsonObject) -> ObjectView:
        """Store a new object."""
        metadata = obj["metadata"]
        local_key = make_local_key(metadata.get("namespace", ""), metadata["name"])
        view = await self._commit_create(local_key, self._codec.encode(obj))
        if view is None:
            raise ObjectExists(f"{local_key} already exists", key=local_key)
        return view

    async def update(
        self,
        namespace: str,
        name: str,
        change: Callable[[ObjectView], Awaitable[JsonObject | Deleted | None]],
    ) -> ObjectView:
        """Read, change, write; see the interface."""
        local_key = make_local_key(namespace, name)
        await self._hub.sync()
        for _ in range(MAX_CONFLICTS):
            view = self._cache.find(local_key)
            if view is None:
                raise ObjectNotFound(f"{local_key} not found", key=local_key)
            changed = await change(view)
            if changed is None:
                return view
            if isinstance(changed, Deleted):
                done = await self._commit_delete(local_key, view, changed.last)
            else:
                document = self._codec.encode(changed)
                if document == self._codec.document_of(view) and not isinstance(view, RewrittenObject):
                    return view
                done = await self._commit_update(local_key, view, document)
            if done is not None:
                return done
        raise StorageUnavailable("too many concurrent writers of the same object", key=local_key)

    async def reseal(self, report: Callable[[int], None]) -> None:
        """Write anew what is sealed by another key than the first; an object that somebody writes meanwhile is sealed by that.

        Each write is an event for watchers: the same document under a new revision, as upstream's.

        Raises:
            StorageError: an object cannot be opened, or the datastore does not answer; what was done stays done.
        """
        await self._in_flight.drain()  # who had sealed by older keys has written by now
        start, end = self._prefix, end_of(self._prefix)
        while True:
            with translated(""):
                page = await self._backend.range(start, end, limit=_RESEAL_PAGE)
            done = 0
            for kv in page.kvs:
                sealed = self._codec.reseal(kv.key, kv.value)
                while sealed is not None:
                    with translated(kv.key.decode()):
                        revision, current = await self._backend.update(
                            kv.key, sealed, expected=kv.mod_revision, lease=kv.lease
                        )
                    if revision is not None or current is None:
                        break
                    kv = current  # noqa: PLW2901 - the newer state of the same key
                    sealed = self._codec.reseal(kv.key, kv.value)
                done += 1
            if done:
                report(done)
            if not page.more:
                return
            start = page.kvs[-1].key + b"\0"

    async def _commit_create(self, local_key: str, document: bytes) -> CachedObject | None:
        key = self._key(local_key)
        with translated(local_key), self._in_flight.inside():
            revision = await self._backend.create(
                key, self._codec.seal(key, document), lease=await self._take_lease()
            )
        if revision is None:
            return None
        return await self._taken_in(local_key, document, revision)

    async def _commit_update(
        self, local_key: str, view: CachedObject, document: bytes
    ) -> CachedObject | None:
        key = self._key(local_key)
        with translated(local_key), self._in_flight.inside():
            revision, current = await self._backend.update(
                key,
                self._codec.seal(key, document),
                expected=Revision(view.revision),
                lease=await self._take_lease(),
            )
        if revision is None:
            await self._catch_up(current.mod_revision if current is not None else 0)
            return None
        return await self._taken_in(local_key, document, revision)

    async def _commit_delete(
        self, local_key: str, view: CachedObject, last: JsonObject | None
    ) -> CachedObject | None:
        with translated(local_key):
            revision, current = await self._backend.delete(
                self._key(local_key), expected=Revision(view.revision)
            )
        if revision is None:
            await self._catch_up(current.mod_revision if current is not None else 0)
            return None
        await self._hub.revisions.wait_for(revision)
        if last is not None:
            return self._codec.view(self._codec.encode(last), revision)
        return self._codec.at_revision(view, revision)

    async def _taken_in(self, local_key: str, document: bytes, revision: int) -> CachedObject:
        await self._hub.revisions.wait_for(revision)
        view = self._cache.find(local_key)
        if view is None or view.revision != revision:  # somebody was faster with the next write
            return self._codec.view(document, revision)
        return view

    async def _catch_up(self, revision: int) -> None:
        """Wait until the cache knows who was faster."""
        if revision:
            await self._hub.revisions.wait_for(revision)
        else:
            await self._hub.sync()

    async def _take_lease(self) -> LeaseId:
        return LeaseId(0) if self._leases is None else await self._leases.take()

    def _key(self, local_key: str) -> bytes:
        return self._prefix + local_key.encode()


@contextmanager
def translated(local_key: str) -> Iterator[None]:
    """Turn conditions of the datastore into those of storage."""
    try:
        yield
    except Compacted as error:
        raise RevisionExpired(
            f"The resourceVersion for the provided list is too old: {error.compact_revision}"
        ) from error
    except FutureRevision as error:
        raise RevisionTooLarge(
            f"Too large resource version, current: {error.current}", current=error.current
        ) from error
    except NoSpace as error:
        raise StorageFull(str(error), key=local_key) from error
    except DatastoreError as error:
        raise StorageUnavailable(str(error), key=local_key) from error


if TYPE_CHECKING:

    def _check(one: ObjectStore) -> Store:
        return one

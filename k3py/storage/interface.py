"""The seam `Store`: objects of one kind, as bytes first and dicts when somebody asks.

Implemented by the watch cache (over `datastore.Backend`). Objects that leave here are shared and read-only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from k3py.storage.errors import RevisionExpired, StorageError, StoreDropped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from k3py.api.kind import Kind
    from k3py.api.selectors import FieldSelector, LabelSelector
    from k3py.jsontypes import JsonObject

__all__ = (
    "Deleted",
    "ListPage",
    "ListQuery",
    "ObjectView",
    "RevisionExpired",
    "Storage",
    "StorageError",
    "Store",
    "StoreDropped",
    "WatchItem",
    "WatchQuery",
    "WatchType",
)


class ObjectView(Protocol):
    """An object at a revision."""

    @property
    def namespace(self) -> str:
        """metadata.namespace, "" for cluster-scoped kinds."""

    @property
    def name(self) -> str:
        """metadata.name."""

    @property
    def uid(self) -> str:
        """metadata.uid."""

    @property
    def revision(self) -> int:
        """Revision of the last change (metadata.resourceVersion is its decimal form)."""

    @property
    def served(self) -> bytes:
        """The JSON document as clients get it (with resourceVersion), compact, in canonical key order."""

    @property
    def labels(self) -> Mapping[str, str]:
        """metadata.labels."""

    @property
    def fields(self) -> Mapping[str, str]:
        """Values of the kind's selectable fields, metadata.name and metadata.namespace among them."""

    @property
    def parsed(self) -> JsonObject:
        """The document as a dict with resourceVersion; made on demand, shared, READ-ONLY (copy before you change it)."""


class WatchType(Enum):
    """Event types of the API."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"


class WatchItem(Protocol):
    """An event for watchers; one instance is shared by all watchers that see the same transition."""

    @property
    def type(self) -> WatchType:
        """What happened, seen through the watcher's selectors."""

    @property
    def object(self) -> ObjectView:
        """The object; of a DELETED one the last state with the revision of the deletion; of a bookmark only a revision."""

    @property
    def json_line(self) -> bytes:
        """`{"type":…,"object":…}` and a newline, encoded once for all watchers."""

    @property
    def ends_initial_events(self) -> bool:
        """True for the bookmark that closes the initial events of a streaming list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """A list request; selectors None = everything.

    revision: 0 and match "" = most recent; see api-machinery.md §1.9 for `match` ("", "Exact", "NotOlderThan").
    any_cached: resourceVersion=0 was asked: whatever the cache holds is good.
    """

    namespace: str = ""
    labels: LabelSelector | None = None
    fields: FieldSelector | None = None
    limit: int = 0
    continue_token: str = ""
    revision: int = 0
    match: str = ""
    any_cached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """Objects in key order, the revision of the snapshot and how to go on."""

    items: Sequence[ObjectView]
    revision: int
    continue_token: str = ""
    remaining: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchQuery:
    """A watch request.

    after: revision to start behind; None = current objects first as ADDED (resourceVersion unset or 0), then live.
    initial_events: streaming list: ADDED for current objects, then the bookmark with `ends_initial_events`.
    bookmarks: send a BOOKMARK about once a minute, and one shortly before the end of `lifetime_s` (0 = not known).
    """

    namespace: str = ""
    labels: LabelSelector | None = None
    fields: FieldSelector | None = None
    after: int | None = None
    initial_events: bool = False
    bookmarks: bool = False
    lifetime_s: float = 0


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a change function returns to have the object deleted, `last` being its final state (None: as it is)."""

    last: JsonObject | None = None


Change = "Callable[[ObjectView], Awaitable[JsonObject | Deleted | None]]"


class Store(Protocol):
    """Objects of one stored kind. All writes are durable when they return (unless the kind's durability is "volatile")."""

    @property
    def kind(self) -> Kind:
        """The kind in its storage version."""

    async def create(self, obj: JsonObject) -> ObjectView:
        """Store a new object (metadata.name and, if namespaced, metadata.namespace are set).

        Raises:
            ObjectExists, StorageUnavailable, StorageFull.
        """

    async def get(self, namespace: str, name: str, *, any_cached: bool = False) -> ObjectView:
        """Return the current object, linearizable; `any_cached`: a little older is fine too.

        Raises:
            ObjectNotFound.
        """

    async def list(self, query: ListQuery) -> ListPage:
        """Return a page.

        Raises:
            RevisionExpired, RevisionTooLarge (after waiting 3 s).
        """

    def watch(self, query: WatchQuery) -> AbstractAsyncContextManager[AsyncIterator[Sequence[WatchItem]]]:
        """Follow changes in batches (never empty).

        Raises:
            RevisionExpired: on entry or while iterating; the client must list again.
        """

    async def update(
        self,
        namespace: str,
        name: str,
        change: Callable[[ObjectView], Awaitable[JsonObject | Deleted | None]],
    ) -> ObjectView:
        """Read, let `change` make the new document from the current one, write if nobody was faster, else try again.

        `change` gets a read-only view and returns a new dict, None for "leave it", or Deleted; what it raises passes through. A
        document equal to the stored one is not written and keeps its revision. Returns the object as it is afterwards (of a
        deleted one the last state with the revision of the deletion).

        Raises:
            ObjectNotFound, StorageUnavailable, StorageFull.
        """


class Storage(Protocol):
    """All stores of a server."""

    async def store_for(self, kind: Kind) -> Store:
        """Return the store of a kind, its cache filled; served versions that share a storage prefix share a store."""

    def drop(self, kind: Kind) -> None:
        """Forget the store of a kind that is served no longer, or in another form; its watchers end."""

    def count_open(self, kind: Kind) -> int | None:
        """Return how many objects of a kind there are, None if its store is not open: nobody has asked for them yet."""

    @property
    def current_revision(self) -> int:
        """The newest revision."""

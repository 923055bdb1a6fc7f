"""One watch on the whole datastore feeds the watch caches of all kinds.

That it is one makes revisions simple: after a batch, every cache is complete up to the batch's revision, also the caches of kinds that
nobody wrote to. Lists, bookmarks and "read your own write" all rest on that.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from k3py.datastore.errors import Compacted, DatastoreError
from k3py.datastore.interface import Revision
from k3py.storage.errors import RevisionExpired, StorageUnavailable
from k3py.storage.revision_clock import RevisionClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.datastore.interface import Backend, Event

log = logging.getLogger(__name__)

SYNC_TIMEOUT_S: Final = 10.0


class Feed(Protocol):
    """Takes in the changes of one prefix."""

    def apply(self, event: Event) -> None:
        """Take in a change."""

    def flush(self) -> None:
        """Tell watchers that a batch is complete."""

    def close(self, error: Exception) -> None:
        """End watchers; nothing comes any more."""


class Hub:
    """Follows a backend and hands events to the feeds of their prefixes."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._feeds: dict[bytes, Feed] = {}
        self.revisions = RevisionClock(backend.current_revision)

    def register(self, prefix: bytes, feed: Feed) -> None:
        """Send events of keys below `prefix` (with its slash) to `feed` from the next batch on."""
        self._feeds[prefix] = feed

    def unregister(self, prefix: bytes, error: Exception) -> None:
        """Send nothing more to the feed of `prefix` and end its watchers with `error`."""
        feed = self._feeds.pop(prefix, None)
        if feed is not None:
            feed.close(error)

    async def sync(self) -> None:
        """Return once everything that was committed before the call is in the caches.

        Raises:
            StorageUnavailable: the datastore does not deliver.
        """
        try:
            revision = await self._backend.latest_revision()
        except DatastoreError as error:
            raise StorageUnavailable(f"the datastore does not answer: {error}") from error
        if revision > self.revisions.revision and not await self.revisions.wait_for(
            revision, timeout_s=SYNC_TIMEOUT_S
        ):
            raise StorageUnavailable("the datastore does not deliver its changes")

    async def run(self, started: Callable[[], None]) -> None:
        """Feed the caches until cancelled.

        Raises:
            StorageUnavailable: the datastore went away or left this process too far behind; all watchers were ended.
        """
        try:
            async with self._backend.watch(b"\0", b"\0", after=Revision(self.revisions.revision)) as batches:
                started()
                async for batch in batches:
                    self._take_in(batch.events)
                    self.revisions.advance(batch.revision)
        except Compacted as error:
            self._close_all(RevisionExpired("too old resource version"))
            raise StorageUnavailable("the watch caches fell behind the datastore's history") from error
        except DatastoreError as error:
            raise StorageUnavailable(f"the datastore went away: {error}") from error
        finally:
            self._close_all(StorageUnavailable("storage is closed"))

    def _take_in(self, events: tuple[Event, ...]) -> None:
        touched: set[Feed] = set()
        for event in events:
            feed = self._find_feed(event.kv.key)
            if feed is not None:
                feed.apply(event)
                touched.add(feed)
        for feed in touched:
            feed.flush()

    def _find_feed(self, key: bytes) -> Feed | None:
        folder = key[: key.rfind(b"/") + 1]
        feed = self._feeds.get(folder)  # cluster-scoped: /registry/<prefix>/<name>
        if feed is None and len(folder) > 1:
            feed = self._feeds.get(folder[: folder.rfind(b"/", 0, -1) + 1])  # …/<namespace>/<name>
        return feed

    def _close_all(self, error: Exception) -> None:
        for feed in self._feeds.values():
            feed.close(error)
        self._feeds.clear()
        self.revisions.fail(error)

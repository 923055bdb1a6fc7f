"""One watch on the whole datastore feeds the watch caches of all kinds.

That it is one makes revisions simple: after a batch, every cache is complete up to the batch's revision, also the caches of kinds that
nobody wrote to. Lists, bookmarks and "read your own write" all rest on that.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol

from k3py.datastore.errors import Closed, Compacted, DatastoreError, Unavailable
from k3py.datastore.interface import Revision
from k3py.storage.errors import StorageUnavailable
from k3py.storage.keys import end_of
from k3py.storage.revision_clock import RevisionClock
from k3py.util.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from k3py.datastore.interface import Backend, Event, KeyValue

log = logging.getLogger(__name__)

SYNC_TIMEOUT_S: Final = 10.0
RETRY_FIRST_S: Final = 0.1
RETRY_CAP_S: Final = 5.0
_PAGE: Final = 500


class Feed(Protocol):
    """Takes in the changes of one prefix."""

    def apply(self, event: Event) -> None:
        """Take in a change."""

    def reset(self, kvs: Sequence[KeyValue], revision: int) -> None:
        """Take in the whole state of `revision`, after changes before it were missed."""

    def flush(self) -> None:
        """Tell watchers that a batch is complete."""

    def close(self, error: Exception) -> None:
        """End watchers; nothing comes any more."""


async def read_all(backend: Backend, prefix: bytes, *, revision: int = 0) -> tuple[list[KeyValue], int]:
    """Read all keys below `prefix` at one revision (0: the newest), page by page; return them and the revision."""
    kvs: list[KeyValue] = []
    start, end = prefix, end_of(prefix)
    while True:
        result = await backend.range(start, end, limit=_PAGE, revision=revision)
        kvs += result.kvs
        revision = revision or result.revision
        if not result.more:
            return kvs, revision
        start = kvs[-1].key + b"\0"


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
        """Feed the caches until cancelled, also across times when the datastore is away.

        Raises:
            StorageUnavailable: the datastore was closed or is damaged; all watchers were ended.
        """
        backoff = Backoff(first_s=RETRY_FIRST_S, cap_s=RETRY_CAP_S)
        behind = away = False
        try:
            while True:
                try:
                    if behind:
                        await self._read_anew()
                        behind = False
                    async with self._backend.watch(
                        b"\0", b"\0", after=Revision(self.revisions.revision)
                    ) as batches:
                        started()
                        async for batch in batches:
                            self._take_in(batch.events)
                            self.revisions.advance(batch.revision)
                            if away:
                                log.info("the datastore answers again")
                                away = False
                            backoff.reset()
                except Compacted:
                    log.warning(
                        "away for longer than the datastore's history reaches back: reading everything anew"
                    )
                    behind = True
                except Closed as error:
                    raise StorageUnavailable(str(error)) from error
                except Unavailable as error:
                    if not away:
                        log.warning(
                            "the datastore does not answer, trying again; reads from memory go on",
                            extra={"error": str(error)},
                        )
                    away = True
                    await asyncio.sleep(backoff.next_s())
        except DatastoreError as error:
            raise StorageUnavailable(f"the datastore went away: {error}") from error
        finally:
            self._close_all(StorageUnavailable("storage is closed"))

    async def _read_anew(self) -> None:
        """Bring all caches to one new state; their watchers are told to list again."""
        feeds = dict(self._feeds)  # who comes later reads a newer state
        revision = await self._backend.latest_revision()
        for prefix, feed in feeds.items():
            kvs, _ = await read_all(self._backend, prefix, revision=revision)
            if self._feeds.get(prefix) is feed:
                feed.reset(kvs, revision)
        self.revisions.advance(revision)

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

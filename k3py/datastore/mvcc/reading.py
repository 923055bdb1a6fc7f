"""The reading half of a `Backend` over a `Log`: ranges from the log, watches from the broadcaster."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from k3py.datastore.errors import Compacted, FutureRevision
from k3py.datastore.interface import BackendStatus
from k3py.datastore.mvcc.broadcaster import Broadcaster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from k3py.datastore.interface import RangeResult, Revision
    from k3py.datastore.mvcc.broadcaster import Watcher
    from k3py.datastore.mvcc.log import Log, LogPage, LogState


class Reader:
    """What `MvccBackend` reads with."""

    def __init__(self, rows: Log, state: LogState, *, driver: str) -> None:
        self._log = rows
        self._driver = driver
        self._compact_revision = state.compact_revision
        self._broadcaster = Broadcaster(self, state.revision)

    @property
    def current_revision(self) -> Revision:
        """See `Backend`."""
        return self._broadcaster.position

    async def latest_revision(self) -> Revision:
        """See `Backend`."""
        return self.current_revision

    @property
    def compact_revision(self) -> Revision:
        """The first readable revision (0: nothing was compacted)."""
        return self._compact_revision

    async def range(
        self,
        start: bytes,
        end: bytes | None = None,
        *,
        limit: int = 0,
        revision: int = 0,
        count_only: bool = False,
        keys_only: bool = False,
    ) -> RangeResult:
        """See `Backend`."""
        if revision:
            await self._check_readable(revision)
        return await self._log.range(
            start, end, limit=limit, revision=revision, count_only=count_only, keys_only=keys_only
        )

    async def _check_readable(self, revision: int) -> None:
        if revision < self._compact_revision:
            raise Compacted(self._compact_revision)
        if revision > self.current_revision:
            # A reader may have seen a commit that the writer task is just about to publish.
            state = await self._log.load()
            if revision > state.revision:
                raise FutureRevision(self.current_revision)

    async def events(self, start: bytes, end: bytes | None, *, after: Revision, limit: int) -> LogPage:
        """Read events for watchers that are behind (`broadcaster.History`)."""
        return await self._log.events(start, end, after=after, limit=limit)

    @asynccontextmanager
    async def watch(
        self, start: bytes, end: bytes | None = None, *, after: Revision
    ) -> AsyncIterator[Watcher]:
        """See `Backend`."""
        watcher = self._broadcaster.add(start, end, after)
        try:
            yield watcher
        finally:
            self._broadcaster.remove(watcher)

    async def status(self) -> BackendStatus:
        """See `Backend`."""
        size = await self._log.size()
        return BackendStatus(
            self._driver, self.current_revision, self._compact_revision, size.total_bytes, size.in_use_bytes
        )

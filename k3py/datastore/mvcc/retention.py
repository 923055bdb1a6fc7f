"""Bounds the history in time and in bytes: what is older than the promised time is compacted, without anybody having to ask.

A burst of large writes shortens the promise: between half of `history_bytes` and all of it are kept, whatever their age, so that the
file does not grow with the number of writes; who follows more slowly than that reads anew. One deadline while there is something to compact, none otherwise: an idle store sleeps. History reaches back between one and two times
`history_s`, as with an API server that compacts at that interval.
Source: k8s.io/apiserver storage/etcd3/compact.go, v1.35 (interval 5 min); here without the poll.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from k3py.datastore.errors import Compacted, DatastoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from k3py.datastore.interface import Event, Revision

log = logging.getLogger(__name__)

HISTORY_BYTES = 64 << 20
"""Keys and values of old revisions that are kept at most, roughly."""

EVENT_BYTES = 200
"""What a change costs besides its value."""


class Retention:
    """The task that calls `compact(revision)` when all before `revision` is older than `history_s` seconds, or too much."""

    def __init__(
        self,
        compact: Callable[[Revision], Awaitable[None]],
        current_revision: Callable[[], Revision],
        history_s: float,
        history_bytes: int = HISTORY_BYTES,
    ) -> None:
        self._compact = compact
        self._current_revision = current_revision
        self._history_s = history_s
        self._most_bytes = history_bytes // 2
        self._bytes = 0
        self._written = asyncio.Event()
        self._written.set()
        self._full = asyncio.Event()

    def wake(self) -> None:
        """Tell that something was written, when its size does not matter."""
        self._written.set()

    def count(self, events: Sequence[Event]) -> None:
        """Take note of a commit; cheap."""
        self._bytes += EVENT_BYTES * len(events)
        for event in events:
            self._bytes += len(event.kv.value)
        self._written.set()
        if self._bytes >= self._most_bytes:
            self._full.set()

    async def run(self) -> None:
        """Compact at deadlines, or when there is too much, until cancelled."""
        while True:
            await self._written.wait()
            self._written.clear()
            self._full.clear()
            self._bytes = 0
            mark = self._current_revision()
            try:
                async with asyncio.timeout(self._history_s):
                    await self._full.wait()
            except TimeoutError:
                log.debug("compacting what is older than the promise")
            try:
                await self._compact(mark)
            except Compacted:
                continue  # somebody else was here first
            except DatastoreError as error:
                log.warning("cannot compact, trying again later", extra={"error": str(error)})
                self._written.set()

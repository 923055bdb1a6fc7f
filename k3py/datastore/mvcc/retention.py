"""Bounds the history in time and in bytes: what is older than the promised time is compacted, without anybody having to ask.

A burst of large writes shortens the promise: between half of `history_bytes` and all of it are kept, whatever their age, so that the
file does not grow with the number of writes; who follows more slowly than that reads anew. A trickle (a node's status every five
minutes) lengthens it: a compaction writes more than such a change did, so it waits until it is worth it, or an hour has gone by. One
deadline while there is something to compact, none otherwise: an idle store sleeps. When more than a trickle is written, history reaches
back between one and two times `history_s`, as with an API server that compacts at that interval.
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

TRICKLE_BYTES = 64 << 10
"""Less than this is not worth a compaction of its own."""

LONGEST = 12
"""A trickle is compacted after so many times `history_s`."""


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
        self._note: Callable[[int], Awaitable[None]] | None = None
        self._old_bytes = TRICKLE_BYTES  # before the mark; what a former process left is not known
        self._bytes = 0  # since the mark
        self._written = asyncio.Event()
        self._written.set()
        self._worth_it = asyncio.Event()
        self._full = asyncio.Event()
        self._enabled = asyncio.Event()
        self._enabled.set()

    def enable(self, *, whether: bool) -> None:
        """Compact, or leave it to another server of the same store."""
        if whether:
            self._enabled.set()
        else:
            self._enabled.clear()

    def on_compacted(self, note: Callable[[int], Awaitable[None]]) -> None:
        """Have `note(current revision)` called after each compaction."""
        self._note = note

    def wake(self) -> None:
        """Tell that something was written, when its size does not matter."""
        self._bytes += TRICKLE_BYTES
        self._worth_it.set()
        self._written.set()

    def count(self, events: Sequence[Event]) -> None:
        """Take note of a commit; cheap."""
        self._bytes += EVENT_BYTES * len(events)
        for event in events:
            self._bytes += len(event.kv.value)
        self._written.set()
        if self._old_bytes + self._bytes >= TRICKLE_BYTES:
            self._worth_it.set()
        if self._bytes >= self._most_bytes:
            self._full.set()

    async def run(self) -> None:
        """Compact at deadlines, or when there is too much, until cancelled."""
        while True:
            await self._written.wait()
            self._written.clear()
            self._full.clear()
            self._old_bytes += self._bytes
            self._bytes = 0
            if self._old_bytes < TRICKLE_BYTES:
                self._worth_it.clear()
            else:
                self._worth_it.set()
            mark = self._current_revision()
            await self._wait()
            await self._enabled.wait()
            try:
                await self._compact(mark)
                self._old_bytes = 0
                if self._note is not None:
                    await self._note(self._current_revision())
            except Compacted:
                self._old_bytes = 0  # somebody else was here first
            except DatastoreError as error:
                log.warning("cannot compact, trying again later", extra={"error": str(error)})
                self._written.set()

    async def _wait(self) -> None:
        """Wait until what was written before the mark is old, and worth the work, or there is too much of it."""
        try:
            async with asyncio.timeout(self._history_s):
                await self._full.wait()
        except TimeoutError:
            await self._wait_until_worth_it()

    async def _wait_until_worth_it(self) -> None:
        try:
            async with asyncio.timeout(self._history_s * (LONGEST - 1)):
                await self._worth_it.wait()
        except TimeoutError:
            log.debug("compacting a trickle")

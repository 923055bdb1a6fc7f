"""Bounds the history: what is older than the promised time is compacted, without anybody having to ask.

One deadline while there is something to compact, none otherwise: an idle store sleeps. History reaches back between one and two times
`history_s`, as with an API server that compacts at that interval.
Source: k8s.io/apiserver storage/etcd3/compact.go, v1.35 (interval 5 min); here without the poll.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from k3py.datastore.errors import Compacted, DatastoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from k3py.datastore.interface import Revision

log = logging.getLogger(__name__)


class Retention:
    """The task that calls `compact(revision)` when everything before `revision` is older than `history_s` seconds."""

    def __init__(
        self,
        compact: Callable[[Revision], Awaitable[None]],
        current_revision: Callable[[], Revision],
        history_s: float,
    ) -> None:
        self._compact = compact
        self._current_revision = current_revision
        self._history_s = history_s
        self._written = asyncio.Event()
        self._written.set()

    def wake(self) -> None:
        """Tell that something was written. Cheap: call it for every commit."""
        self._written.set()

    async def run(self) -> None:
        """Compact at deadlines until cancelled."""
        while True:
            await self._written.wait()
            self._written.clear()
            mark = self._current_revision()
            await asyncio.sleep(self._history_s)
            try:
                await self._compact(mark)
            except Compacted:
                continue  # somebody else was here first
            except DatastoreError as error:
                log.warning("cannot compact, trying again later", extra={"error": str(error)})
                self._written.set()

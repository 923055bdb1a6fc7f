"""Frees the space of compacted revisions behind the writers' backs: slices of a few milliseconds with pauses between them.

The compaction line itself is set at once by `Backend.compact`; this task only makes the disk follow, and sleeps otherwise.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from k3py.datastore.errors import DatastoreError
from k3py.util.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

SLICE_S = 0.004
PAUSE_S = 0.006
RETRY_FIRST_S = 0.5
RETRY_CAP_S = 30.0


class Compactor:
    """The task that purges; `purge(budget_s)` deletes for about that long and says whether rows are left."""

    def __init__(self, purge: Callable[[float], Awaitable[bool]]) -> None:
        self._purge = purge
        self._work = asyncio.Event()
        self._work.set()
        self._idle = asyncio.Event()
        self._again = asyncio.Event()

    def wake(self) -> None:
        """Tell that there is something to purge."""
        self._idle.clear()
        self._work.set()

    async def finished(self) -> None:
        """Wait until nothing is left to purge."""
        await self._idle.wait()

    def retry(self) -> None:
        """Tell that what failed may work now, such as when there is space again."""
        self._again.set()

    async def run(self) -> None:
        """Purge when there is something to purge, until cancelled."""
        pauses = Backoff(first_s=RETRY_FIRST_S, cap_s=RETRY_CAP_S)
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                more = await self._purge(SLICE_S)
                pauses.reset()
                if more:
                    self._work.set()
                    await asyncio.sleep(PAUSE_S)
                elif not self._work.is_set():
                    self._idle.set()
            except DatastoreError as error:
                if not pauses.attempts:
                    log.warning("cannot free compacted revisions, trying again", extra={"error": str(error)})
                await self._pause(pauses.next_s())
                self._work.set()

    async def _pause(self, pause_s: float) -> None:
        self._again.clear()
        try:
            async with asyncio.timeout(pause_s):
                await self._again.wait()
        except TimeoutError:
            return

"""Who waits for a revision: a number that only grows, and futures that wait for it to reach a mark."""

from __future__ import annotations

import asyncio
import heapq
import itertools


class RevisionClock:
    """The newest revision that the caches have taken in."""

    def __init__(self, revision: int) -> None:
        self._revision = revision
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    @property
    def revision(self) -> int:
        """The newest revision taken in."""
        return self._revision

    def advance(self, revision: int) -> None:
        """Note that everything up to `revision` was taken in; wakes those who waited for it."""
        self._revision = max(self._revision, revision)
        while self._waiters and self._waiters[0][0] <= self._revision:
            waiter = heapq.heappop(self._waiters)[2]
            if not waiter.done():
                waiter.set_result(None)

    def fail(self, error: Exception) -> None:
        """End all waits with `error`."""
        waiters, self._waiters = self._waiters, []
        for _, _, waiter in waiters:
            if not waiter.done():
                waiter.set_exception(error)

    async def wait_for(self, revision: int, *, timeout_s: float | None = None) -> bool:
        """Return True once `revision` was taken in, False when `timeout_s` seconds were not enough."""
        if revision <= self._revision:
            return True
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiters, (revision, next(self._order), waiter))
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError:
            return False
        return True

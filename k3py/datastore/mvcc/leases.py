"""Ends leases when their time is over: one task that sleeps until the next deadline, and not at all without leases.

Deadlines are on the event loop's clock, so a wrong or stepping wall clock neither ends a lease early nor keeps it alive. The wall
clock is only used to carry a deadline over a restart.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
from typing import TYPE_CHECKING

from k3py.datastore.errors import DatastoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from k3py.datastore.interface import LeaseId
    from k3py.datastore.mvcc.log import Lease

log = logging.getLogger(__name__)

CLOCK_UNSET_BEFORE_S = 1_600_000_000.0
"""A wall clock below this (2020) was not set yet when it was read."""

RETRY_S = 10.0
MAX_SLACK_S = 10.0


def remaining_s(lease: Lease, wall_s: float) -> float:
    """Return how long a stored lease has to live at wall clock time `wall_s`; the full time if a clock cannot be right."""
    if lease.granted_at_s < CLOCK_UNSET_BEFORE_S or wall_s < lease.granted_at_s:
        return float(lease.ttl_s)
    return max(0.0, lease.granted_at_s + lease.ttl_s - wall_s)


class LeaseReaper:
    """The set of living leases and the task that ends them through `expire`.

    Leases end up to a twentieth of their time (at most 10 s) late, so that neighbours go in one commit; never early.
    """

    def __init__(self, expire: Callable[[Sequence[LeaseId]], Awaitable[None]]) -> None:
        self._expire = expire
        self._living: set[LeaseId] = set()
        self._deadlines: list[tuple[float, LeaseId]] = []
        self._changed = asyncio.Event()

    def __contains__(self, lease: object) -> bool:
        return lease in self._living

    def add(self, lease: LeaseId, *, ttl_s: int, remaining_s: float) -> None:
        """Watch over a lease that lives for another `remaining_s` seconds."""
        self._living.add(lease)
        slack_s = max(0.01, min(MAX_SLACK_S, ttl_s / 20))
        deadline = asyncio.get_running_loop().time() + remaining_s
        self._push(math.ceil(deadline / slack_s) * slack_s, lease)

    def discard(self, lease: LeaseId) -> None:
        """Forget a lease that was revoked."""
        self._living.discard(lease)

    def retain(self, leases: Collection[LeaseId]) -> None:
        """Forget all leases but these."""
        self._living.intersection_update(leases)

    async def run(self) -> None:
        """End leases at their deadlines until cancelled."""
        while True:
            due = self._pop_due()
            if not due:
                await self._sleep()
                continue
            try:
                await self._expire(due)
            except DatastoreError as error:
                log.warning(
                    "cannot end leases, trying again", extra={"leases": len(due), "error": str(error)}
                )
                again = asyncio.get_running_loop().time() + RETRY_S
                for lease in due:
                    self._push(again, lease)

    def _push(self, deadline: float, lease: LeaseId) -> None:
        heapq.heappush(self._deadlines, (deadline, lease))
        if self._deadlines[0][1] == lease:
            self._changed.set()

    def _pop_due(self) -> list[LeaseId]:
        now = asyncio.get_running_loop().time()
        due = []
        while self._deadlines and (self._deadlines[0][0] <= now or self._deadlines[0][1] not in self._living):
            lease = heapq.heappop(self._deadlines)[1]
            if lease in self._living:
                due.append(lease)
        return due

    async def _sleep(self) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout_at(self._deadlines[0][0] if self._deadlines else None):
                await self._changed.wait()
        except TimeoutError:
            return

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
    from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence

    from k3py.datastore.interface import LeaseId
    from k3py.datastore.mvcc.log import Lease

log = logging.getLogger(__name__)

CLOCK_UNSET_BEFORE_S = 1_600_000_000.0
"""A wall clock below this (2020) was not set yet when it was read."""

GRANTED_AT_UNKNOWN_S = 0.0
"""Stored for a lease that is kept alive: after a restart it has its whole time."""

RETRY_S = 10.0
MAX_SLACK_S = 10.0


def remaining_s(lease: Lease, wall_s: float) -> float:
    """Return how long a stored lease has to live at wall clock time `wall_s`; the full time if a clock cannot be right."""
    if lease.granted_at_s < CLOCK_UNSET_BEFORE_S or wall_s < lease.granted_at_s:
        return float(lease.ttl_s)
    return max(0.0, lease.granted_at_s + lease.ttl_s - wall_s)


def _slackened(deadline: float, ttl_s: int) -> float:
    slack_s = max(0.01, min(MAX_SLACK_S, ttl_s / 20))
    return math.ceil(deadline / slack_s) * slack_s


class LeaseReaper:
    """The set of living leases and the task that ends them through `expire`.

    Leases end up to a twentieth of their time (at most 10 s) late, so that neighbours go in one commit; never early.
    """

    def __init__(self, expire: Callable[[Sequence[LeaseId]], Awaitable[None]]) -> None:
        self._expire = expire
        self._living: dict[LeaseId, tuple[int, float]] = {}  # time to live and deadline, seconds
        self._deadlines: list[tuple[float, LeaseId]] = []
        self._changed = asyncio.Event()

    def __contains__(self, lease: object) -> bool:
        return lease in self._living

    def __iter__(self) -> Iterator[LeaseId]:
        return iter(self._living)

    def ttl_s(self, lease: LeaseId) -> int | None:
        """Return the time to live that a lease was granted for, None if it does not exist."""
        living = self._living.get(lease)
        return None if living is None else living[0]

    def remaining_s(self, lease: LeaseId) -> float | None:
        """Return how long a lease still lives, None if it does not exist."""
        living = self._living.get(lease)
        return None if living is None else max(0.0, living[1] - asyncio.get_running_loop().time())

    def add(self, lease: LeaseId, *, ttl_s: int, remaining_s: float) -> None:
        """Watch over a lease that lives for another `remaining_s` seconds; also when it is there already."""
        deadline = asyncio.get_running_loop().time() + remaining_s
        known = lease in self._living
        self._living[lease] = (ttl_s, deadline)
        if not known:  # else its entry is moved on when it comes up
            self._push(_slackened(deadline, ttl_s), lease)

    def discard(self, lease: LeaseId) -> None:
        """Forget a lease that was revoked."""
        self._living.pop(lease, None)

    def retain(self, leases: Collection[LeaseId]) -> None:
        """Forget all leases but these."""
        for lease in self._living.keys() - set(leases):
            del self._living[lease]

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
                continue
            for lease in due:
                if self.remaining_s(lease):  # kept alive at the last moment
                    ttl_s, deadline = self._living[lease]
                    self._push(_slackened(deadline, ttl_s), lease)

    def _push(self, deadline: float, lease: LeaseId) -> None:
        heapq.heappush(self._deadlines, (deadline, lease))
        if self._deadlines[0][1] == lease:
            self._changed.set()

    def _pop_due(self) -> list[LeaseId]:
        now = asyncio.get_running_loop().time()
        due = []
        while self._deadlines and (self._deadlines[0][0] <= now or self._deadlines[0][1] not in self._living):
            lease = heapq.heappop(self._deadlines)[1]
            living = self._living.get(lease)
            if living is None:
                continue
            if living[1] > now:
                self._push(_slackened(living[1], living[0]), lease)
            elif lease not in due:
                due.append(lease)
        return due

    async def _sleep(self) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout_at(self._deadlines[0][0] if self._deadlines else None):
                await self._changed.wait()
        except TimeoutError:
            return

"""Work queue of keys: fair, stingy, safe against a key being worked on twice at once.

The model is client-go's util/workqueue (v0.35): an item that is added while it waits is queued once; an item that is added while
a worker has it is queued again when the worker says `done`; failures come back after an exponential delay. Nothing polls: waiting
workers sleep on futures, delayed items on timers of the loop. One event loop owns a queue; its methods are not thread-safe.

    add ──► dirty+queue ──get──► processing ──done──► gone | (dirty again → queue)
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

T = TypeVar("T", bound="Hashable")

_MAX_EXPONENT = 60  # 2 ** 60 times any base is beyond every sensible maximum


class QueueClosed(Exception):
    """`get` after `shut_down`, once the queue has run empty."""


class WorkQueue(Generic[T]):
    """A queue of hashable items (usually "namespace/name").

    Args:
        name: for logs and metrics.
        base_delay_s: delay in seconds of the first retry of an item; doubles with each further one.
        max_delay_s: upper bound of that delay.

    Source: client-go util/workqueue/{queue,delaying_queue,default_rate_limiters}.go v0.35.
    """

    def __init__(self, name: str = "", *, base_delay_s: float = 0.005, max_delay_s: float = 1000.0) -> None:
        self.name = name
        self._base_delay_s = base_delay_s
        self._max_delay_s = max_delay_s
        self._queue: deque[T] = deque()
        self._dirty: set[T] = set()
        self._processing: set[T] = set()
        self._failures: dict[T, int] = {}
        self._delayed: dict[T, asyncio.TimerHandle] = {}
        self._getters: deque[asyncio.Future[None]] = deque()
        self._idle: list[asyncio.Future[None]] = []
        self._closed = False

    def __len__(self) -> int:
        """Return the number of items that wait for a worker (delayed ones not among them)."""
        return len(self._queue)

    @property
    def delayed(self) -> int:
        """Return the number of items that wait for their time."""
        return len(self._delayed)

    @property
    def closed(self) -> bool:
        """Say whether `shut_down` was called."""
        return self._closed

    def add(self, item: T) -> None:
        """Queue `item`, unless it already waits; ignored after `shut_down`."""
        if self._closed or item in self._dirty:
            return
        self._dirty.add(item)
        if item in self._processing:
            return
        self._queue.append(item)
        self._wake_one()

    def add_after(self, item: T, delay_s: float) -> None:
        """Queue `item` in `delay_s` seconds (at once when <= 0); of two delays of one item the earlier time wins."""
        if self._closed:
            return
        if delay_s <= 0:
            self.add(item)
            return
        loop = asyncio.get_running_loop()
        when = loop.time() + delay_s
        known = self._delayed.get(item)
        if known is not None:
            if known.when() <= when:
                return
            known.cancel()
        self._delayed[item] = loop.call_at(when, self._add_delayed, item)

    def add_rate_limited(self, item: T) -> None:
        """Queue `item` after its back-off, which doubles with every call until `forget`."""
        failures = self._failures.get(item, 0)
        self._failures[item] = failures + 1
        self.add_after(item, min(self._base_delay_s * 2.0 ** min(failures, _MAX_EXPONENT), self._max_delay_s))

    def forget(self, item: T) -> None:
        """Reset the back-off of `item`; call it after a success."""
        self._failures.pop(item, None)

    def retries(self, item: T) -> int:
        """Return how often `item` was added rate limited since the last `forget`."""
        return self._failures.get(item, 0)

    async def get(self) -> T:
        """Take the next item, waiting for one; the caller must call `done(item)` when it is through with it.

        Raises:
            QueueClosed: the queue was shut down and is empty.
        """
        while not self._queue:
            if self._closed:
                raise QueueClosed(self.name)
            getter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                if getter.done() and not getter.cancelled():
                    self._wake_one()  # the wake-up was for us; hand it on
                elif getter in self._getters:
                    self._getters.remove(getter)
                raise
        item = self._queue.popleft()
        self._processing.add(item)
        self._dirty.discard(item)
        return item

    def done(self, item: T) -> None:
        """Say that the worker is through with `item`; it is queued again if it was added meanwhile."""
        self._processing.discard(item)
        if item in self._dirty:
            self._queue.append(item)
            self._wake_one()
        elif not self._processing and not self._queue:
            self._wake_idle()

    async def wait_idle(self) -> None:
        """Return once nothing is queued and nobody works on anything (delayed items do not count)."""
        while self._queue or self._processing:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(waiter)
            await waiter

    def shut_down(self) -> None:
        """Take no more items, drop the delayed ones and let `get` raise QueueClosed when the rest is taken."""
        self._closed = True
        for timer in self._delayed.values():
            timer.cancel()
        self._delayed.clear()
        while self._getters:
            self._wake_one()

    def _add_delayed(self, item: T) -> None:
        del self._delayed[item]
        self.add(item)

    def _wake_one(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _wake_idle(self) -> None:
        waiters, self._idle = self._idle, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

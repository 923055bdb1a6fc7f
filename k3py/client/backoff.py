"""Waiting longer after each failure, with jitter, so that a server that comes back is not overrun.

Source: client-go tools/cache/reflector.go v0.35 (800 ms to 30 s, reset after 2 minutes without failure).
"""

from __future__ import annotations

import asyncio
import random

from k3py.util import clock


class Backoff:
    """Delays that double from `first_s` up to `max_s` seconds, jittered up to twice; reset after `reset_s` seconds without a call."""

    def __init__(self, first_s: float = 0.8, max_s: float = 30.0, reset_s: float = 120.0) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._reset_s = reset_s
        self._next_s = first_s
        self._last_s: float | None = None

    def next_delay_s(self) -> float:
        """Return the next delay in seconds."""
        now_s = clock.monotonic_s()
        if self._last_s is not None and now_s - self._last_s > self._reset_s:
            self._next_s = self._first_s
        self._last_s = now_s
        delay_s = self._next_s
        self._next_s = min(self._next_s * 2.0, self._max_s)
        return delay_s * (1.0 + random.random())  # noqa: S311 - jitter is no secret

    async def wait(self) -> None:
        """Sleep for the next delay."""
        await asyncio.sleep(self.next_delay_s())

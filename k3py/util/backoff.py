"""Growing pauses between attempts, with jitter so that many clients do not come back at the same moment."""

from __future__ import annotations

import random


class Backoff:
    """The pauses of one retry loop: first_s, first_s × factor, … up to cap_s; each shortened or lengthened by up to `jitter`.

    Args:
        first_s: the first pause, seconds.
        cap_s: the longest pause before jitter, seconds.
        factor: growth from pause to pause.
        jitter: 0..1, share of the pause that is random in both directions.
    """

    __slots__ = ("_cap_s", "_factor", "_first_s", "_jitter", "_pause_s", "attempts")

    def __init__(self, *, first_s: float, cap_s: float, factor: float = 2.0, jitter: float = 0.0) -> None:
        self._first_s = first_s
        self._cap_s = cap_s
        self._factor = factor
        self._jitter = jitter
        self._pause_s = first_s
        self.attempts = 0

    def next_s(self) -> float:
        """Return the pause before the next attempt, seconds, and let the following one grow."""
        pause_s = min(self._pause_s, self._cap_s)
        self._pause_s = min(pause_s * self._factor, self._cap_s)
        self.attempts += 1
        if not self._jitter:
            return pause_s
        return pause_s * random.uniform(1 - self._jitter, 1 + self._jitter)  # noqa: S311 (no secret)

    def reset(self) -> None:
        """Begin again at `first_s`: the last attempt was a success."""
        self._pause_s = self._first_s
        self.attempts = 0

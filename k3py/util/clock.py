"""The only reader of the machine's clocks, so that tests can move time and wall-clock use stays visible."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return the wall clock as an aware UTC datetime (microseconds)."""
    return datetime.now(tz=UTC)


def wall_s() -> float:
    """Return the wall clock in seconds since the epoch."""
    return time.time()


def monotonic_s() -> float:
    """Return a clock in seconds that never goes back; use it for every duration and deadline."""
    return time.monotonic()

"""Delays that double with each failure and are forgotten after a while of peace.

Pure: the caller brings the clock. Model: client-go util/flowcontrol/backoff.go v0.35.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BASE_S: Final = 10.0
MAX_S: Final = 300.0


@dataclass(slots=True)
class _Entry:
    delay_s: float
    updated_s: float


class Backoff:
    """Delay per key; times are seconds of any one clock.

    Args:
        base_s: the first delay.
        max_s: the greatest; an entry is forgotten after 2 × max_s without failure.
    """

    def __init__(self, *, base_s: float = BASE_S, max_s: float = MAX_S) -> None:
        self._base_s = base_s
        self._max_s = max_s
        self._entries: dict[str, _Entry] = {}

    def delay_s(self, key: str) -> float:
        """Return the current delay of a key, 0 when it has none."""
        entry = self._entries.get(key)
        return 0.0 if entry is None else entry.delay_s

    def until_s(self, key: str, event_s: float) -> float:
        """Return until when a key whose failure was at `event_s` has to wait; in the past when it need not."""
        entry = self._entries.get(key)
        if entry is None or self._expired(entry, event_s):
            return event_s
        return event_s + entry.delay_s

    def advance(self, key: str, event_s: float) -> None:
        """Note a try after a failure at `event_s`: the next one waits longer."""
        entry = self._entries.get(key)
        if entry is None or self._expired(entry, event_s):
            self._entries[key] = _Entry(self._base_s, event_s)
            return
        entry.delay_s = min(entry.delay_s * 2, self._max_s)
        entry.updated_s = event_s

    def reset(self, key: str) -> None:
        """Forget a key."""
        self._entries.pop(key, None)

    def _expired(self, entry: _Entry, event_s: float) -> bool:
        return event_s - entry.updated_s > 2 * self._max_s

"""When to try again what failed, key by key: ever more rarely, since each attempt tells its failure by an event."""

from __future__ import annotations

from k3py.util.backoff import Backoff


class Retries:
    """Pauses between the attempts for each key, from `first_s` to `cap_s` seconds."""

    def __init__(self, *, first_s: float, cap_s: float) -> None:
        self._first_s = first_s
        self._cap_s = cap_s
        self._backoffs: dict[str, Backoff] = {}

    def next_s(self, key: str) -> float:
        """Return the pause before the next attempt, after one that failed."""
        backoff = self._backoffs.get(key)
        if backoff is None:
            backoff = self._backoffs[key] = Backoff(first_s=self._first_s, cap_s=self._cap_s, jitter=0.1)
        return backoff.next_s()

    def forget(self, key: str) -> None:
        """Begin anew: the last attempt was a success, or there is nothing to try any more."""
        self._backoffs.pop(key, None)

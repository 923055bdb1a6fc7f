"""Bounds the memory of parsed documents: bytes are kept for all objects, dicts (six times as large) for the last few used."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from k3py.storage.cached_object import CachedObject

POOL_BYTES: Final = 4_000_000  # of served bytes; their dicts take about six times that


class ParsedPool:
    """Remembers who is parsed and lets the oldest go; a receiver that still holds the dict keeps it alive by itself."""

    def __init__(self, limit_bytes: int = POOL_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._size_bytes = 0
        self._views: deque[CachedObject] = deque()

    def keep(self, view: CachedObject) -> None:
        """Note that `view` has just been parsed."""
        self._views.append(view)
        self._size_bytes += len(view.served)
        while self._size_bytes > self._limit_bytes and len(self._views) > 1:
            oldest = self._views.popleft()
            oldest.parsed_or_none = None
            self._size_bytes -= len(oldest.served)

"""Bounds the memory of parsed documents: bytes are kept for all objects, dicts (six times as large) for the last few used."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from k3py.storage.cached_object import CachedObject

POOL_BYTES: Final = 1_000_000  # of served bytes; their dicts take about six times that


class ParsedPool:
    """Remembers who is parsed and lets the oldest go; a receiver that still holds the dict keeps it alive by itself.

    Args:
        limit_bytes: served bytes of the views that may be parsed at a time.
        detect_mutations: note documents that no longer equal their bytes when they are let go (`close` then fails).
    """

    def __init__(self, limit_bytes: int = POOL_BYTES, *, detect_mutations: bool = False) -> None:
        self._limit_bytes = limit_bytes
        self._size_bytes = 0
        self._views: deque[CachedObject] = deque()
        self._detect_mutations = detect_mutations
        self._mutated: list[str] = []

    def keep(self, view: CachedObject) -> None:
        """Note that `view` has just been parsed."""
        self._views.append(view)
        self._size_bytes += len(view.served)
        while self._size_bytes > self._limit_bytes and len(self._views) > 1:
            self._forget(self._views.popleft())

    def close(self) -> None:
        """Let all go. Raises AssertionError, naming them, if read-only documents were changed."""
        while self._views:
            self._forget(self._views.popleft())
        if self._mutated:
            raise AssertionError(f"read-only objects were changed: {', '.join(self._mutated)}")

    def _forget(self, view: CachedObject) -> None:
        if self._detect_mutations and view.parsed_or_none != orjson.loads(view.served):
            self._mutated.append(f"{view.served[:60].decode(errors='replace')}… {view}")
        view.parsed_or_none = None
        self._size_bytes -= len(view.served)

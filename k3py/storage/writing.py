"""Knows which writes are under way, so that somebody can wait for those that began before."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Generation:
    __slots__ = ("count", "empty")

    def __init__(self) -> None:
        self.count = 0
        self.empty = asyncio.Event()


class Writing:
    """`with writing.inside():` around each write; `await writing.drain()` returns when all that were inside have left."""

    __slots__ = ("_generations",)

    def __init__(self) -> None:
        self._generations = [_Generation()]

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be a write."""
        generation = self._generations[-1]
        generation.count += 1
        try:
            yield
        finally:
            generation.count -= 1
            if not generation.count:
                generation.empty.set()

    async def drain(self) -> None:
        """Wait for the writes that are inside now, not for those that come meanwhile."""
        before = self._generations
        self._generations = [*(one for one in before if one.count), _Generation()]
        for generation in self._generations[:-1]:
            while generation.count:
                generation.empty.clear()
                await generation.empty.wait()

"""Waiting in tests until something has become true."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_T = TypeVar("_T")


async def wait_for(probe: Callable[[], Awaitable[_T]], *, limit_s: float = 60.0) -> _T:
    """Ask `probe` until it says something true, and return that; TimeoutError after `limit_s` seconds."""
    async with asyncio.timeout(limit_s):
        while not (found := await probe()):
            await asyncio.sleep(0.01)
    return found

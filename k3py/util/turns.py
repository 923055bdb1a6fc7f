"""Long work in slices, so that everybody else on the event loop has a turn between two of them."""

from __future__ import annotations

import asyncio
from typing import Final

from k3py.util import clock

SLICE_S: Final = 0.005


class Turns:
    """Call `take` between pieces of work: it lets others run once the last turn has lasted long enough."""

    __slots__ = ("_since_s",)

    def __init__(self) -> None:
        self._since_s = clock.monotonic_s()

    async def take(self) -> None:
        """Let others run, if it is time."""
        if clock.monotonic_s() - self._since_s >= SLICE_S:
            await asyncio.sleep(0)
            self._since_s = clock.monotonic_s()

"""Things that are done once while a process starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.util.supervise import Policy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Step:
    """A component that does one thing and has then started and ended; a failure ends the process."""

    policy = Policy.ONESHOT

    def __init__(self, name: str, action: Callable[[], Awaitable[None]]) -> None:
        self.name = name
        self._action = action

    async def run(self, started: Callable[[], None]) -> None:
        """Do it."""
        await self._action()
        started()

"""What is under way for one pod: named operations side by side, each ending in a wake-up of the worker.

An operation that fails with a known condition reports it to its `failed` callback; an unknown exception ends the worker, which
starts anew.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from k3py.util.supervise import TaskScope


STATUS: Final = "(status)"
VOLUMES: Final = "(volumes)"
FINISH: Final = "(finish)"
CLEAN: Final = "(clean)"
RESIZE: Final = "(resize)"
INTERNAL: Final = frozenset((STATUS, VOLUMES, FINISH, CLEAN, RESIZE))
"""Keys that are neither the sandbox ("") nor a container."""


class Operations:
    """Operations by key; one at a time for each key.

    Args:
        scope: where they run.
        wake: called when one has ended.
    """

    def __init__(self, scope: TaskScope, wake: Callable[[], None]) -> None:
        self._scope = scope
        self._wake = wake
        self._running: dict[str, asyncio.Task[None]] = {}
        self._kept: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._running

    @property
    def keys(self) -> frozenset[str]:
        """Return the keys of what runs."""
        return frozenset(self._running)

    def start(
        self, key: str, coroutine: Coroutine[None, None, None], failed: Callable[[Exception], None]
    ) -> None:
        """Run `coroutine`; K3pyError and OSError go to `failed`."""
        self._running[key] = self._scope.spawn(self._run(key, coroutine, failed), name=f"op-{key}")

    def keep(self, key: str, *, kept: bool) -> None:
        """Protect an operation from `cancel` while it is at a point where that would leave something half made."""
        if kept:
            self._kept.add(key)
        else:
            self._kept.discard(key)

    def cancel(self, key: str) -> None:
        """Cancel an operation unless it is protected; it counts as running until it has ended."""
        if key not in self._kept and key in self._running:
            self._running[key].cancel()

    async def _run(
        self, key: str, coroutine: Coroutine[None, None, None], failed: Callable[[Exception], None]
    ) -> None:
        try:
            await coroutine
        except (K3pyError, OSError) as error:
            failed(error)
        finally:
            if self._running.get(key) is asyncio.current_task():
                del self._running[key]
            self._kept.discard(key)
            self._wake()

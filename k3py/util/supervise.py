"""Structured concurrency: the only place that creates tasks, and the contract of everything long-lived.

`TaskScope` is an `asyncio.TaskGroup` whose children are named and whose single failure is re-raised bare, so that callers catch
conditions instead of exception groups. `Component` is the seam "lifetime" of ARCHITECTURE §5; `k3py.util.supervisor` runs them.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType


class Policy(Enum):
    """What happens when a component's `run` ends with an error."""

    ESSENTIAL = "essential"  # the process ends with the error's exit code
    RESTART = "restart"  # back-off 1 s → 60 s, reset after 10 min; visible in /readyz?verbose
    ONESHOT = "oneshot"  # expected to return; an error ends the process


class Component(Protocol):
    """Anything long-lived.

    `run` calls `started()` exactly once when the component is usable, then runs until it is cancelled and cleans up in `finally`::

        created ──run()──► starting ──started()──► running ──cancel──► stopped
                              │                       │
                              └──────── error ────────┴──► failed (policy decides)
    """

    @property
    def name(self) -> str:
        """Short, stable name for logs and health checks."""

    @property
    def policy(self) -> Policy:
        """What a failure means for the process."""

    async def run(self, started: Callable[[], None]) -> None:
        """Run until cancelled; call `started()` once when usable."""


def _cancelling() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


class TaskScope:
    """A task group with names; leaving it waits for its children, a failing child cancels its siblings.

    Example:
        async with TaskScope() as scope:
            scope.spawn(worker(), name="worker-0")

    Raises (on exit):
        The child's own exception when exactly one child failed, else an ExceptionGroup.
    """

    __slots__ = ("_cancelling", "_group", "_tasks")

    def __init__(self) -> None:
        self._cancelling = 0
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Start `coroutine` as a child of this scope and return its task (cancel it to end it early)."""
        task = self._group.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def cancel(self) -> None:
        """Cancel all children that still run; the scope can then be left at once."""
        for task in tuple(self._tasks):
            task.cancel()

    async def __aenter__(self) -> Self:
        self._cancelling = _cancelling()
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._group.__aexit__(kind, error, trace)
        except BaseExceptionGroup as group:
            if _cancelling() > self._cancelling and (task := asyncio.current_task()) is not None:
                # Python before 3.13 forgets a cancellation that comes while the group ends by an error: the next wait shall raise it.
                task.uncancel()
                task.cancel()
            if len(group.exceptions) == 1:
                raise group.exceptions[0] from None
            raise

"""What the informer factories have in common: one informer for equal arguments, one task an informer, started when asked for.

A factory is a Component. Informers may be asked for before it runs (they start with it) and while it runs (they start at once).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

from k3py.util.supervise import Policy, TaskScope

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from k3py.api.resource import Resource
    from k3py.client.interface import Informer


_LAST_EVENTS_S: Final = 5.0


class Feeder(Protocol):
    """An informer and what keeps it fresh."""

    @property
    def informer(self) -> Informer:
        """The informer."""

    def end(self) -> None:
        """The resource is served no longer: let `run` return when its watch ends."""

    def run(self) -> Coroutine[Any, Any, None]:
        """Feed the informer until cancelled."""


class FeederSet:
    """Feeders by resource, namespace and field selector; the running part of a factory."""

    def __init__(self, name: str, make: Callable[[Resource, str, str], Feeder]) -> None:
        self._name = name
        self._make = make
        self._feeders: dict[tuple[Resource, str, str], Feeder] = {}
        self._scope: TaskScope | None = None
        self._tasks: dict[tuple[Resource, str, str], asyncio.Task[None]] = {}

    @property
    def name(self) -> str:
        """Component's name."""
        return self._name

    @property
    def policy(self) -> Policy:
        """Without its informers nothing works: start them again."""
        return Policy.RESTART

    def informer(self, resource: Resource, *, namespace: str = "", field_selector: str = "") -> Informer:
        """Return the shared informer for a resource."""
        key = (resource, namespace, field_selector)
        feeder = self._feeders.get(key)
        if feeder is None:
            feeder = self._feeders[key] = self._make(resource, namespace, field_selector)
            if self._scope is not None:
                self._start(self._scope, key, feeder)
        return feeder.informer

    def drop(self, resource: Resource) -> None:
        """Forget the informers of a resource that is served no longer; what is on its way is still delivered."""
        for key in [key for key in self._feeders if key[0] == resource]:
            feeder = self._feeders.pop(key)
            feeder.end()
            task = self._tasks.pop(key, None)
            if task is None or self._scope is None:
                feeder.informer.forget()
            else:
                _ = self._scope.spawn(_wind_up(feeder, task), name=f"end-{key[0].plural}")

    async def run(self, started: Callable[[], None]) -> None:
        """Feed all informers until cancelled."""
        async with TaskScope() as scope:
            self._scope = scope
            try:
                for key, feeder in self._feeders.items():
                    self._start(scope, key, feeder)
                started()
                await asyncio.get_running_loop().create_future()
            finally:
                self._scope = None
                scope.cancel()

    def _start(self, scope: TaskScope, key: tuple[Resource, str, str], feeder: Feeder) -> None:
        self._tasks[key] = scope.spawn(feeder.run(), name=f"informer-{key[0].plural}")


async def _wind_up(feeder: Feeder, task: asyncio.Task[None]) -> None:
    _ = await asyncio.wait((task,), timeout=_LAST_EVENTS_S)
    task.cancel()
    feeder.informer.forget()

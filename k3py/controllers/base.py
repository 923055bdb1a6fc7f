"""Runs one controller: informers feed keys into its work queue, workers reconcile them, failures come back with back-off.

Source: the worker loops of kubernetes/pkg/controller v1.35.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from k3py.api.status import ApiError
from k3py.client.workqueue import WorkQueue
from k3py.controllers.interface import KindFollower
from k3py.util.supervise import Policy, TaskScope

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.controllers.interface import Controller, Watch
    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)


class ControllerLoop:
    """The component around a controller; a crash restarts it with its queue rebuilt from the listers."""

    policy = Policy.RESTART

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._queue: WorkQueue[str] | None = None
        for watch in controller.watches:
            self._add(watch)
        if isinstance(controller, KindFollower):
            controller.follow(self._add)

    def _add(self, watch: Watch) -> None:
        watch.informer.add_handler(self._handler_for(watch))

    @property
    def name(self) -> str:
        """The controller's name."""
        return self._controller.name

    def _handler_for(self, watch: Watch) -> Callable[[JsonObject | None, JsonObject | None], None]:
        def on_change(old: JsonObject | None, new: JsonObject | None) -> None:
            if self._queue is not None:
                for key in watch.keys_of(old, new):
                    self._queue.add(key)

        return on_change

    async def run(self, started: Callable[[], None]) -> None:
        """Work until cancelled."""
        for watch in self._controller.watches:
            await watch.informer.wait_synced()
        queue = self._queue = WorkQueue[str](self.name)
        try:
            for watch in self._controller.watches:
                for obj in watch.informer.lister.list():
                    for key in watch.keys_of(None, obj):
                        queue.add(key)
            async with TaskScope() as scope:
                for number in range(self._controller.workers):
                    _ = scope.spawn(self._work(queue), name=f"{self.name}-{number}")
                started()
        finally:
            self._queue = None

    async def _work(self, queue: WorkQueue[str]) -> None:
        while True:
            key = await queue.get()
            try:
                again_s = await self._controller.reconcile(key)
            except ApiError as error:
                level = logging.DEBUG if error.code in (404, 409) else logging.WARNING
                log.log(
                    level,
                    "reconciling failed, will try again",
                    extra={"controller": self.name, "key": key, "error": error.message},
                )
                queue.add_rate_limited(key)
            except Exception:  # a fault in one object's handling must not stop the others
                log.exception("reconciling failed", extra={"controller": self.name, "key": key})
                queue.add_rate_limited(key)
            else:
                queue.forget(key)
                if again_s is not None:
                    queue.add_after(key, again_s)
            finally:
                queue.done(key)

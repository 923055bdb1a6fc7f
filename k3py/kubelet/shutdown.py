"""Graceful node shutdown: the machine's shutdown is held up until pods have ended, ordinary ones first, critical ones last.

    systemd: PrepareForShutdown ──► node not ready ──► pods end (grace − critical grace) ──► critical pods end ──► the machine may go

Without systemd nothing holds up a shutdown: stopping k3py leaves pods running, as ever. Off unless shutdownGracePeriod is set.

Source: pkg/kubelet/nodeshutdown v1.35.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, Protocol

from k3py.errors import K3pyError
from k3py.kubelet.pod import is_critical, is_finished
from k3py.util.backoff import Backoff
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from k3py.kubelet.pod_worker import PodWorker
    from k3py.kubelet.settings import KubeletSettings

log = logging.getLogger(__name__)

REASON: Final = "Terminated"
MESSAGE: Final = "Pod was terminated in response to imminent node shutdown."
REJECTED: Final = ("NodeShutdown", "Pod was rejected as the node is shutting down.")
NOT_READY: Final = "node is shutting down"
_RETRY_S: Final = 5.0
_LONGEST_RETRY_S: Final = 300.0


class InhibitorFailed(K3pyError):
    """The shutdown cannot be held up; tried again."""


class Inhibitor(Protocol):
    """Holds up the machine's shutdown."""

    async def inhibit(self, seconds: float) -> None:
        """Hold up a shutdown for at most so long from now on, until `release`. Raises InhibitorFailed."""

    def release(self) -> None:
        """Let the machine go."""

    def events(self) -> AsyncGenerator[bool]:
        """Yield True when a shutdown begins, False when it was called off. Raises InhibitorFailed."""


class ShutdownManager:
    """See the module.

    Args:
        settings: grace periods.
        inhibitor: holds up the shutdown.
        workers: returns the pods of the node.
        changed: called when `is_shutting_down` changed.
    """

    def __init__(
        self,
        settings: KubeletSettings,
        inhibitor: Inhibitor,
        workers: Callable[[], Sequence[PodWorker]],
        changed: Callable[[], None],
    ) -> None:
        self._grace_s = settings.shutdown_grace_s
        self._critical_s = settings.shutdown_critical_s
        self._inhibitor = inhibitor
        self._workers = workers
        self._changed = changed
        self.is_shutting_down = False

    async def run(self) -> None:
        """Follow shutdowns until cancelled."""
        backoff = Backoff(first_s=_RETRY_S, cap_s=_LONGEST_RETRY_S, jitter=0.0)
        while True:
            try:
                await self._inhibitor.inhibit(self._grace_s)
                async with aclosing(self._inhibitor.events()) as events:
                    async for begins in events:
                        await self._handle(begins=begins)
            except InhibitorFailed as error:
                level = logging.WARNING if backoff.attempts == 0 else logging.DEBUG
                log.log(level, "the machine's shutdown will not wait for pods", extra={"error": str(error)})
            await asyncio.sleep(backoff.next_s())

    async def _handle(self, *, begins: bool) -> None:
        if begins == self.is_shutting_down:
            return
        self.is_shutting_down = begins
        self._changed()
        if not begins:
            log.info("the machine's shutdown was called off")
            await self._inhibitor.inhibit(self._grace_s)
            return
        log.info("the machine shuts down: pods are ended first")
        try:
            await self.end_pods()
        finally:
            self._inhibitor.release()

    async def end_pods(self) -> None:
        """End ordinary pods, then critical ones, each within its part of the time."""
        await self._end(critical=False, within_s=self._grace_s - self._critical_s)
        await self._end(critical=True, within_s=self._critical_s)

    async def _end(self, *, critical: bool, within_s: float) -> None:
        pods = [
            one
            for one in self._workers()
            if is_critical(one.pod) == critical and not is_finished(one.pod) and not one.is_ending
        ]
        for one in pods:
            one.fail(REASON, MESSAGE, grace_s=within_s)
        try:
            async with asyncio.timeout(max(0.0, within_s)), TaskScope() as scope:
                for one in pods:
                    _ = scope.spawn(_ended(one), name="shutdown-pod")
        except TimeoutError:
            log.warning("pods have not ended in time", extra={"seconds": within_s})


async def _ended(worker: PodWorker) -> None:
    _ = await worker.stopped.wait()

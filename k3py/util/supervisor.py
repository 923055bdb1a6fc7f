"""Runs the components of a process: start in order, watch over them, stop in reverse.

The composition roots (`k3py server`, `k3py agent`) build the list; what a failure means is each component's `Policy`::

    run() ─► start components one by one, each waits for the previous one's `started`
          ─► ready() ─► until a signal, `request_stop`, or the failure of an ESSENTIAL one
          ─► cancel in reverse order, each with a deadline ─► raise the failure, if any
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

from k3py.errors import K3pyError
from k3py.util.backoff import Backoff
from k3py.util.supervise import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from signal import Signals

    from k3py.util.supervise import Component

log = logging.getLogger(__name__)

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 10.0
STOP_TOTAL_S = 30.0
RESTART_FIRST_S = 1.0
RESTART_CAP_S = 60.0
RESTART_RESET_S = 600.0
LEAST_STOP_S = 0.5
SIGNAL_EXIT_CODE = 130


class ComponentFailed(K3pyError):
    """A component ended, was cancelled from inside or did not start in time; names it."""


class Supervisor:
    """The life of a list of components.

    Args:
        components: in starting order; a later one may use an earlier one.
        start_timeout_s: how long one may take until it calls `started`, seconds.
        stop_timeout_s: how long one may take to stop, seconds.
        stop_total_s: how long all may take to stop, seconds.
        exit_process: called with an exit code by a second signal, and when components hang after the stop was asked by a signal.
    """

    def __init__(
        self,
        components: Sequence[Component],
        *,
        start_timeout_s: float = START_TIMEOUT_S,
        stop_timeout_s: float = STOP_TIMEOUT_S,
        stop_total_s: float = STOP_TOTAL_S,
        exit_process: Callable[[int], object] = os._exit,
    ) -> None:
        self._runners = [_Runner(component) for component in components]
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._stop_total_s = stop_total_s
        self._exit_process = exit_process
        self._stop = asyncio.Event()
        self._signals = 0
        self._failure: BaseException | None = None

    def health(self) -> Mapping[str, str | None]:
        """Return for each component None when it runs, else what is wrong with it, in starting order."""
        return {runner.component.name: runner.problem for runner in self._runners}

    @property
    def is_stopping(self) -> bool:
        """Say whether a stop was asked for."""
        return self._stop.is_set()

    def request_stop(self) -> None:
        """Begin to stop; `run` returns when everything has stopped."""
        self._stop.set()

    async def run(self, *, ready: Callable[[], None] | None = None, signals: Iterable[Signals] = ()) -> None:
        """Run all components until a stop is asked for or an essential one fails.

        Args:
            ready: called once when all components have started.
            signals: those that ask for a stop; a second one exits the process at once.

        Raises:
            The error of the ESSENTIAL or ONESHOT component that failed; ComponentFailed if it ended without one or never started.
        """
        loop = asyncio.get_running_loop()
        handled = tuple(signals)
        for number in handled:
            loop.add_signal_handler(number, self._on_signal)
        try:
            if await self._start_all():
                if ready is not None:
                    ready()
                await self._stop.wait()
        finally:
            stuck = await self._stop_all()
            for number in handled:
                loop.remove_signal_handler(number)
        if stuck and handled:
            code = self._failure.exit_code if isinstance(self._failure, K3pyError) else 1
            self._exit_process(code)
        if self._failure is not None:
            raise self._failure

    def _on_signal(self) -> None:
        self._signals += 1
        if self._signals > 1:
            self._exit_process(SIGNAL_EXIT_CODE)
        self._stop.set()

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
        self._stop.set()

    async def _start_all(self) -> bool:
        for runner in self._runners:
            if self._stop.is_set():
                return False
            runner.start(self._fail)
            await self._wait_for(runner)
        return not self._stop.is_set()

    async def _wait_for(self, runner: _Runner) -> None:
        loop = asyncio.get_running_loop()
        waits = {loop.create_task(runner.settled.wait()), loop.create_task(self._stop.wait())}
        try:
            done, _ = await asyncio.wait(
                waits, timeout=self._start_timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for wait in waits:
                wait.cancel()
        if not done:
            name = runner.component.name
            late = ComponentFailed(f"{name} did not start within {self._start_timeout_s:g} s")
            if runner.component.policy is Policy.RESTART:
                log.error("component does not start, going on without it", extra={"component": name})
            else:
                self._fail(late)

    async def _stop_all(self) -> list[str]:
        """Stop in reverse order; return the names of those that hang."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._stop_total_s
        stuck = []
        for runner in reversed(self._runners):
            timeout_s = min(self._stop_timeout_s, max(LEAST_STOP_S, end - loop.time()))
            if not await runner.stop(timeout_s):
                log.error("component does not stop", extra={"component": runner.component.name})
                stuck.append(runner.component.name)
        return stuck


class _Runner:
    """One component: its task, its restarts, what is wrong with it.

    Not a member of a task group on purpose: a group waits for a hanging member for ever.
    """

    def __init__(self, component: Component) -> None:
        self.component = component
        self.problem: str | None = "not started"
        self.settled = asyncio.Event()  # started, or known not to start soon
        self._task: asyncio.Task[None] | None = None
        self._backoff = Backoff(first_s=RESTART_FIRST_S, cap_s=RESTART_CAP_S, jitter=0.1)

    def start(self, fail: Callable[[BaseException], None]) -> None:
        self.problem = "starting"
        self._task = asyncio.get_running_loop().create_task(self._run(fail), name=self.component.name)

    async def stop(self, timeout_s: float) -> bool:
        if self._task is None or self._task.done():
            return True
        self._task.cancel()
        done, _ = await asyncio.wait((self._task,), timeout=timeout_s)
        self.problem = "stopped" if done else "does not stop"
        return bool(done)

    def _started(self) -> None:
        self.problem = None
        self.settled.set()

    async def _run(self, fail: Callable[[BaseException], None]) -> None:
        loop = asyncio.get_running_loop()
        name, policy = self.component.name, self.component.policy
        while True:
            begin = loop.time()
            error = await self._run_once()
            if policy is Policy.ONESHOT and error is None:
                self._started()
                return
            error = error or ComponentFailed(f"{name} ended although it should run until it is stopped")
            self.problem = f"{type(error).__name__}: {error}"
            if policy is not Policy.RESTART:
                fail(error)
                return
            if loop.time() - begin >= RESTART_RESET_S:
                self._backoff.reset()
            pause_s = self._backoff.next_s()
            log.warning(
                "component failed, starting it again",
                exc_info=error,
                extra={"component": name, "pause_s": round(pause_s, 1)},
            )
            self.settled.set()
            await asyncio.sleep(pause_s)

    async def _run_once(self) -> BaseException | None:
        task = asyncio.get_running_loop().create_task(
            self.component.run(self._started), name=self.component.name
        )
        try:
            await asyncio.wait((task,))
        finally:
            while not task.done():
                task.cancel()
                await asyncio.wait((task,))
        if task.cancelled():
            return ComponentFailed(f"{self.component.name} was cancelled from inside")
        return task.exception()

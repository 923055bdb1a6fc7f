"""Components start in order, stop in reverse, and fail as their policy says."""

import asyncio
import os
import signal
from itertools import pairwise

import pytest

from k3py.util.supervise import Policy
from k3py.util.supervisor import ComponentFailed, Supervisor

pytestmark = pytest.mark.looptime


class Recorded:
    """A component that writes down what happens to it; `script` is what it does in each run after `started`."""

    def __init__(self, name, journal, *, policy=Policy.ESSENTIAL, script=(), start=True, stop_s=0.0):
        self.name = name
        self.policy = policy
        self.journal = journal
        self.script = list(script)
        self.start = start
        self.stop_s = stop_s

    async def run(self, started):
        self.journal.append(f"run {self.name}")
        try:
            if self.start:
                await asyncio.sleep(1)
                started()
                self.journal.append(f"started {self.name}")
            if self.script:
                step = self.script.pop(0)
                await asyncio.sleep(step[0])
                if step[1] is None:
                    return
                raise step[1]
            await asyncio.Event().wait()
        finally:
            if self.stop_s:
                await asyncio.sleep(self.stop_s)
            self.journal.append(f"stopped {self.name}")


async def test_order_readiness_and_reverse_stop():
    journal = []
    supervisor = Supervisor([Recorded("a", journal), Recorded("b", journal)])
    health = []

    def ready():
        journal.append("ready")
        health.append(dict(supervisor.health()))
        supervisor.request_stop()

    assert supervisor.health() == {"a": "not started", "b": "not started"}
    await supervisor.run(ready=ready)
    assert journal == ["run a", "started a", "run b", "started b", "ready", "stopped b", "stopped a"]
    assert health == [{"a": None, "b": None}]
    assert supervisor.health() == {"a": "stopped", "b": "stopped"}


async def test_the_failure_of_an_essential_component_stops_all_and_is_raised():
    journal = []
    boom = RuntimeError("boom")
    supervisor = Supervisor(
        [Recorded("a", journal), Recorded("b", journal, script=[(5, boom)]), Recorded("c", journal)]
    )
    with pytest.raises(RuntimeError, match="boom"):
        await supervisor.run()
    assert journal[-3:] == ["stopped b", "stopped c", "stopped a"]
    assert supervisor.health()["b"] == "RuntimeError: boom"


async def test_a_failed_start_stops_what_already_runs_and_starts_nothing_more():
    journal = []
    broken = Recorded("b", journal, start=False, script=[(1, OSError("port in use"))])
    with pytest.raises(OSError, match="port in use"):
        await Supervisor([Recorded("a", journal), broken, Recorded("c", journal)]).run()
    assert "run c" not in journal
    assert journal[-1] == "stopped a"


async def test_a_component_that_never_gets_ready_is_a_failure():
    journal = []
    with pytest.raises(ComponentFailed, match="b did not start within 120 s"):
        await Supervisor([Recorded("a", journal), Recorded("b", journal, start=False)]).run()
    assert journal[-2:] == ["stopped b", "stopped a"]


async def test_a_forever_component_that_returns_is_a_failure():
    with pytest.raises(ComponentFailed, match="a ended although"):
        await Supervisor([Recorded("a", [], script=[(1, None)])]).run()


async def test_a_restarted_component_comes_back_and_shows_its_error_meanwhile():
    journal = []
    loop = asyncio.get_running_loop()
    flaky = Recorded("flaky", journal, policy=Policy.RESTART, script=[(10, OSError("gone")), (10, None)])
    supervisor = Supervisor([flaky, Recorded("other", journal)])
    loop.call_later(11.5, lambda: journal.append(supervisor.health()["flaky"]))
    loop.call_later(40, lambda: journal.append(supervisor.health()["flaky"]))
    loop.call_later(41, supervisor.request_stop)
    await supervisor.run()
    assert journal.count("run flaky") == 3
    assert "OSError: gone" in journal
    assert None in journal
    assert journal.count("run other") == 1


async def test_a_restarted_component_that_cannot_start_does_not_hold_up_the_others():
    journal = []
    broken = Recorded("broken", journal, policy=Policy.RESTART, start=False, script=[(1, OSError("no"))] * 99)
    supervisor = Supervisor([broken, Recorded("b", journal)])
    await supervisor.run(ready=supervisor.request_stop)
    assert "started b" in journal


async def test_restarts_slow_down_to_a_minute_and_a_long_run_starts_over():
    journal = []
    loop = asyncio.get_running_loop()
    begin = loop.time()

    class Timed(Recorded):
        async def run(self, started):
            times.append(loop.time() - begin)
            await super().run(started)

    times = []
    script = [(0, OSError())] * 9 + [(700, OSError())] + [(0, OSError())]
    supervisor = Supervisor([Timed("x", journal, policy=Policy.RESTART, script=script)])
    loop.call_later(2000, supervisor.request_stop)
    await supervisor.run()
    pauses = [later - earlier - 1 for earlier, later in pairwise(times)]
    for pause, expected in zip(pauses, (1, 2, 4, 8, 16, 32, 60, 60, 60, 700 + 1, 2), strict=False):
        assert expected * 0.9 - 0.2 <= pause <= expected * 1.1 + 0.2


async def test_a_oneshot_returns_and_the_next_one_starts_then():
    journal = []
    once = Recorded("once", journal, policy=Policy.ONESHOT, start=False, script=[(3, None)])
    supervisor = Supervisor([once, Recorded("b", journal)])
    await supervisor.run(ready=supervisor.request_stop)
    assert journal == ["run once", "stopped once", "run b", "started b", "stopped b"]


async def test_a_failing_oneshot_ends_the_process():
    once = Recorded("once", [], policy=Policy.ONESHOT, start=False, script=[(3, ValueError("bad"))])
    with pytest.raises(ValueError, match="bad"):
        await Supervisor([once]).run()


async def test_a_stop_that_hangs_is_bounded_and_the_others_still_stop_in_order():
    journal = []
    loop = asyncio.get_running_loop()
    components = [Recorded("a", journal)]
    components += [Recorded(f"slow{n}", journal, stop_s=500) for n in range(4)]
    supervisor = Supervisor(components)
    times = []

    def ready():
        times.append(loop.time())
        supervisor.request_stop()

    await supervisor.run(ready=ready)
    assert 30 <= loop.time() - times[0] <= 32
    assert journal[-1] == "stopped a"
    assert supervisor.health()["slow0"] == "does not stop"


async def test_a_hanging_stop_after_a_signal_exits_the_process():
    codes = []
    supervisor = Supervisor([Recorded("slow", [], stop_s=500)], exit_process=codes.append)
    await supervisor.run(ready=lambda: os.kill(os.getpid(), signal.SIGUSR1), signals=[signal.SIGUSR1])
    assert codes == [1]


async def test_a_second_signal_exits_at_once():
    codes = []
    supervisor = Supervisor([Recorded("slow", [], stop_s=5)], exit_process=codes.append)
    loop = asyncio.get_running_loop()
    loop.call_later(2, os.kill, os.getpid(), signal.SIGUSR1)
    loop.call_later(3, os.kill, os.getpid(), signal.SIGUSR1)
    await supervisor.run(signals=[signal.SIGUSR1])
    assert codes == [130]


async def test_cancelling_run_stops_everything():
    journal = []
    task = asyncio.get_running_loop().create_task(Supervisor([Recorded("a", journal)]).run())
    await asyncio.sleep(5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert journal[-1] == "stopped a"

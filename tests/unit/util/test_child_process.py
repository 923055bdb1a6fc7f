"""Children are ended, also those that an earlier process left."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from k3py.util.child_process import end_leftover, start_child, stop_child, turn_log_over


async def test_a_child_writes_its_log_and_ends_when_it_is_asked_to(tmp_path):
    log, pid = tmp_path / "log", tmp_path / "pid"
    script = "import time; print('up', flush=True); time.sleep(60)"
    child = await start_child([sys.executable, "-c", script], log_file=log, pid_file=pid, env=dict(os.environ))
    assert int(pid.read_text()) == child.pid
    async with asyncio.timeout(30):
        while log.read_text() != "up\n":
            await asyncio.sleep(0.01)
    await stop_child(child, "it", 30)
    assert child.returncode == -signal.SIGTERM
    await stop_child(child, "it")


async def test_a_child_that_does_not_end_is_killed(tmp_path):
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    log = tmp_path / "log"
    child = await start_child([sys.executable, "-c", script], log_file=log, pid_file=tmp_path / "pid", env=dict(os.environ))
    async with asyncio.timeout(30):
        while log.read_text() != "up\n":
            await asyncio.sleep(0.01)
    await stop_child(child, "it", 0.05)
    assert child.returncode == -signal.SIGKILL


async def test_a_leftover_is_known_by_its_command_line(tmp_path):
    pid = tmp_path / "pid"
    other = subprocess.Popen(["sleep", "60"])
    try:
        pid.write_text(str(other.pid))
        async with asyncio.timeout(30):  # the kernel lets a parent go on before the child's command line stands
            while b"60" not in Path(f"/proc/{other.pid}/cmdline").read_bytes():
                await asyncio.sleep(0.01)
        await end_leftover(pid, "61", "sleep")
        assert other.poll() is None
        await end_leftover(pid, "60", "sleep")
        assert other.wait(30) == -signal.SIGTERM
    finally:
        other.kill()
        other.wait()
    await end_leftover(pid, "60", "sleep")
    await end_leftover(tmp_path / "none", "60", "sleep")


def test_the_log_of_the_last_run_is_kept(tmp_path):
    log = tmp_path / "log"
    turn_log_over(log)
    log.write_text("old")
    turn_log_over(log)
    assert not log.exists()
    assert (tmp_path / "log.1").read_text() == "old"

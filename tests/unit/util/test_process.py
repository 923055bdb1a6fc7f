"""Programs run to their end, or are ended with everything that they started."""

import asyncio
import os
import signal
import sys

import pytest

from k3py.util.process import ProcessFailed, dying_with_parent, run


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def wait_gone(pid):
    async with asyncio.timeout(5):
        while not gone(pid):
            await asyncio.sleep(0.005)


async def test_output_and_input_go_through():
    done = await run(["sh", "-c", "cat; echo err >&2"], stdin=b"in")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"in", b"err\n")


async def test_an_error_shows_what_the_program_said():
    with pytest.raises(ProcessFailed, match="sh returned 3: no such luck"):
        await run(["sh", "-c", "echo no such luck >&2; exit 3"])
    assert (await run(["sh", "-c", "exit 3"], check=False)).returncode == 3
    assert (await run(["sh", "-c", "kill -9 $$"], check=False)).returncode == -9


async def test_a_missing_program_is_named():
    with pytest.raises(ProcessFailed, match="cannot start /no/such/program: No such file"):
        await run(["/no/such/program"])


async def test_a_slow_program_is_killed_with_its_children(tmp_path):
    pids = tmp_path / "pids"
    with pytest.raises(ProcessFailed, match=r"did not end within 0\.1 s"):
        await run(["sh", "-c", f"sleep 60 & echo $! $$ > {pids}; wait"], timeout_s=0.1)
    for pid in pids.read_text().split():
        await wait_gone(int(pid))


async def test_a_cancelled_caller_leaves_no_process(tmp_path):
    pids = tmp_path / "pids"
    task = asyncio.get_running_loop().create_task(run(["sh", "-c", f"echo $$ > {pids}; exec sleep 60"]))
    async with asyncio.timeout(5):
        while not pids.exists() or not pids.read_text().endswith("\n"):
            await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone(int(pids.read_text()))


async def test_a_child_dies_with_its_parent():
    code = (
        "import subprocess, sys; from k3py.util.process import dying_with_parent;"
        "child = subprocess.Popen(['sleep', '60'], preexec_fn=dying_with_parent());"
        "print(child.pid, flush=True); sys.stdin.read()"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    pid = int(await parent.stdout.readline())
    assert not gone(pid)
    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()
    await wait_gone(pid)
    assert callable(dying_with_parent(signal.SIGKILL))

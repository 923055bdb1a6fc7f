"""Long-lived child processes that serve one k3py: how they are ended, also those of a k3py that was killed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.util.process import dying_with_parent

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)

STOP_S: Final = 5.0
_KEPT_LOG: Final = ".1"


async def start_child(
    argv: Sequence[str], *, log_file: Path, pid_file: Path, env: dict[str, str]
) -> asyncio.subprocess.Process:
    """Start a child that the kernel ends (SIGTERM) when this process is gone; what it prints goes to `log_file`.

    Raises:
        OSError: it cannot be started.
    """
    output = await asyncio.to_thread(log_file.open, "ab")
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=env,
            start_new_session=True,
            preexec_fn=dying_with_parent(),
        )
    finally:
        output.close()
    try:
        await asyncio.to_thread(pid_file.write_text, f"{process.pid}\n")
    except BaseException:
        await stop_child(process, argv[0])
        raise
    return process


async def stop_child(process: asyncio.subprocess.Process, name: str, limit_s: float = STOP_S) -> None:
    """Ask a child to end; kill it after `limit_s` seconds."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(limit_s):
            await process.wait()
    except TimeoutError:
        log.warning("%s did not end within %g s, killing it", name, limit_s)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def end_leftover(pid_file: Path, mark: str, name: str) -> None:
    """End the child of a k3py that was killed; `mark`: an argument of its command line, by which it is known."""
    pid = _find_leftover(pid_file, mark)
    if pid is None:
        return
    log.warning("%s of an earlier k3py still runs (process %d), ending it", name, pid)
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(handle, number)
            if await asyncio.to_thread(_ended, handle, STOP_S):
                return
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def turn_log_over(log_file: Path) -> None:
    """Keep the log of the last run beside the new one. Blocking."""
    if log_file.exists():
        log_file.replace(log_file.with_name(log_file.name + _KEPT_LOG))


def _find_leftover(pid_file: Path, mark: str) -> int | None:
    try:
        pid = int(pid_file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    # Else the number belongs to another process by now.
    return pid if mark.encode() in command else None


def _ended(handle: int, limit_s: float) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(limit_s * 1000))

"""Child processes: run one to its end, or have a long-lived one die with this process."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

PR_SET_PDEATHSIG = 1
SHOWN_BYTES = 2_000


class ProcessFailed(K3pyError):
    """A program could not be started, took too long, or returned an error; the message has the end of its output."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A program's end; `returncode` is negative when a signal ended it."""

    returncode: int
    stdout: bytes
    stderr: bytes


async def run(
    argv: Sequence[str | Path],
    *,
    stdin: bytes = b"",
    timeout_s: float = 60.0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    check: bool = True,
) -> Completed:
    """Run a program to its end and collect what it writes.

    The child leads a process group of its own; after `timeout_s` seconds, or when the caller is cancelled, the group is killed.

    Args:
        argv: program and arguments; never put a secret here, others can read it.
        stdin: what the program reads.
        timeout_s: longest run, seconds.
        env: the whole environment; None = this process's.
        cwd: working directory.
        check: whether a return code other than 0 is an error.

    Raises:
        ProcessFailed: not startable, too slow, or (with `check`) failed.
    """
    program = os.fspath(argv[0])
    try:
        child = await asyncio.create_subprocess_exec(
            *argv,
            # Without a pipe there is no write to a program that has ended already, which uvloop answers with a RuntimeError.
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
    except OSError as error:
        raise ProcessFailed(f"cannot start {program}: {error.strerror or error}") from error
    try:
        async with asyncio.timeout(timeout_s):
            stdout, stderr = await child.communicate(stdin or None)
    except TimeoutError as error:
        raise ProcessFailed(f"{program} did not end within {timeout_s:g} s") from error
    finally:
        if child.returncode is None:
            await _kill_group(child)
    if child.returncode is None:
        raise ProcessFailed(f"{program} ended without a return code")
    if check and child.returncode != 0:
        said = (stderr or stdout)[-SHOWN_BYTES:].decode(errors="replace").strip()
        raise ProcessFailed(f"{program} returned {child.returncode}: {said}")
    return Completed(child.returncode, stdout, stderr)


async def _kill_group(child: asyncio.subprocess.Process) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    await child.wait()


def dying_with_parent(death_signal: signal.Signals = signal.SIGTERM) -> Callable[[], None]:
    """Return a `preexec_fn` that has the kernel send `death_signal` to the child when this process ends, however it ends.

    Linux ties this to the *thread* that starts the child: start it from the event loop's thread. Everything that needs memory or
    locks is done here, before the fork.
    """
    import ctypes  # noqa: PLC0415 (costs 1 MB; only few processes start children)

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()
    number = int(death_signal)

    def prepare() -> None:
        prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os._exit(1)

    return prepare

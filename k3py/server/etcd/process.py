"""The etcd process of this server: a child that dies with it, started again when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from typing import TYPE_CHECKING, Final

from k3py.errors import K3pyError
from k3py.server.etcd import configuration
from k3py.util.backoff import Backoff
from k3py.util.child_process import end_leftover, start_child, stop_child, turn_log_over
from k3py.util.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from k3py.server.etcd.layout import EtcdLayout

log = logging.getLogger(__name__)

RESTART_FIRST_S: Final = 0.5
RESTART_CAP_S: Final = 30.0
RESET_S: Final = 60.0
STOP_S: Final = 5.0
"""A leader hands its office over before it ends."""

_SHOWN_BYTES: Final = 1500
_IN_USE: Final = "address already in use"


class EtcdEnded(K3pyError):
    """etcd ended while it was needed; says where its log is."""


class MemberRemoved(K3pyError):
    """This server's member was removed from the cluster, by a human or with its Node."""


class EtcdProcess:
    """Runs etcd on a configuration file that is there.

    Args:
        layout: where its files are.
        program: etcd.
    """

    def __init__(self, layout: EtcdLayout, program: Path) -> None:
        self._layout = layout
        self._program = program
        self._was_ready = False
        self._process: asyncio.subprocess.Process | None = None

    def note_ready(self) -> None:
        """From now on an etcd that ends is started again; before, that is an error of its start."""
        self._was_ready = True

    @property
    def pid(self) -> int:
        """Return its process id, 0 while there is none."""
        return self._process.pid if self._process is not None and self._process.returncode is None else 0

    async def prepare(self) -> None:
        """Make the folders, end a leftover, turn over the log."""
        await asyncio.to_thread(self._prepare)
        await end_leftover(self._layout.pid_file, str(self._layout.config_file), "etcd")

    async def keep(self) -> None:
        """Run it until cancelled.

        Raises:
            EtcdEnded: it ends before it was ready.
            MemberRemoved: it was removed from the cluster; the tombstone is written.
        """
        pauses = Backoff(first_s=RESTART_FIRST_S, cap_s=RESTART_CAP_S, jitter=0.1)
        now: Callable[[], float] = asyncio.get_running_loop().time
        while True:
            began = now()
            code = await self._run_once()
            if code == 0:
                await asyncio.to_thread(
                    write_atomically, self._layout.tombstone, b"removed from the cluster\n"
                )
                raise MemberRemoved(
                    "this server's etcd member was removed from the cluster: to have it join again, start it with --server URL of another server; "
                    "its old data is then kept beside"
                )
            if not self._was_ready:
                raise EtcdEnded(await asyncio.to_thread(self._explain, code))
            if now() - began > RESET_S:
                pauses.reset()
            pause_s = pauses.next_s()
            log.warning(
                "etcd ended, starting it again",
                extra={"code": code, "log": str(self._layout.log_file), "pause_s": round(pause_s, 1)},
            )
            await asyncio.sleep(pause_s)

    async def _run_once(self) -> int:
        process = await start_child(
            [str(self._program), "--config-file", str(self._layout.config_file)],
            log_file=self._layout.log_file,
            pid_file=self._layout.pid_file,
            env=_environment(),
        )
        self._process = process
        try:
            return await process.wait()
        finally:
            await stop_child(process, "etcd", STOP_S)
            await asyncio.to_thread(self._layout.pid_file.unlink, missing_ok=True)

    def _prepare(self) -> None:
        for folder in (self._layout.folder, self._layout.log_file.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        turn_log_over(self._layout.log_file)

    def _explain(self, code: int) -> str:
        ports, file = self._layout.ports, self._layout.log_file
        with file.open("rb") as log_file:
            log_file.seek(max(0, file.stat().st_size - _SHOWN_BYTES))
            said = log_file.read().decode(errors="replace").strip()
        if _IN_USE in said:
            return (
                f"etcd cannot listen on {ports.client}, {ports.peer} or {ports.metrics}: another program does. Debian's package starts an etcd of its "
                "own: systemctl disable --now etcd"
            )
        return f"etcd ended at its start with code {code}; see {file}: {said}"


def expect_others(layout: EtcdLayout) -> bool:
    """Give a member that was alone until now the timing of several, before another one joins; True: etcd is just starting anew for that. Blocking."""
    if not layout.alone_mark.exists():
        return False
    changed = configuration.expect_others(layout.config_file.read_bytes())
    if changed is not None:
        write_atomically(layout.config_file, changed)
        with contextlib.suppress(OSError, ValueError):  # it is just starting anyway
            os.kill(int(layout.pid_file.read_text()), signal.SIGTERM)
    layout.alone_mark.unlink()
    return changed is not None


def _environment() -> dict[str, str]:
    """Return ours without what etcd would take for its own settings, or for systemd's."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
    own.pop("NOTIFY_SOCKET", None)
    own.setdefault("GOGC", "50")  # for small machines: the heap is collected at 1.5 times what lives
    return own

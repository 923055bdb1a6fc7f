"""One node of a lab: how to start it, run things in it, and end it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.lab.cgroups import make_group, remove_group

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROJECT = Path(__file__).resolve().parents[3]
_INIT = Path(__file__).with_name("node_init.sh")
_READY_S = 20


class NodeProcess(subprocess.Popen[bytes]):
    """A process in a node; signals go to it, not to the helper that entered the node. Its death is the helper's."""

    def send_signal(self, sig: int) -> None:
        """Send a signal to the process inside."""
        os.kill(self.inner_pid, sig)

    def terminate(self) -> None:
        """Send SIGTERM to the process inside."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the process inside."""
        self.send_signal(signal.SIGKILL)

    @property
    def inner_pid(self) -> int:
        """The process's number outside of the node. Raises ProcessLookupError when it is gone."""
        try:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        except FileNotFoundError:
            children = []
        if not children:
            raise ProcessLookupError(self.pid)
        return int(children[0])


class Node:
    """A node; made by `Lab.add_node`.

    Attributes:
        name: Its host name.
        address: Its address on the lab's bridge.
        disk: Its folder outside; `disk / "var/lib/k3py"` is /var/lib/k3py inside.
        shared: A folder that has the same path inside and outside.
        pid: Its first process, seen from outside.
        agent: The `k3py agent` that runs in it, if any.
    """

    def __init__(
        self, *, name: str, address: str, disk: Path, shared: Path, pause: Path, group: str, lower: str = "/", init: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.address = address
        self.disk = disk
        self.shared = shared
        self.pid = 0
        self._pause = pause
        self._group = group
        self._lower = lower
        self._init = init
        self._groups: list[Path] = []
        self._holder: subprocess.Popen[bytes] | None = None
        self.agent: NodeProcess | None = None

    def start(self) -> None:
        """Boot: namespaces, mounts, first process. The network is the lab's to connect."""
        (self.disk / "mnt").mkdir(parents=True, exist_ok=True)
        self._groups = make_group(self._group)
        reader, writer = os.pipe()
        command = ["setpriv", "--pdeathsig", "KILL"]
        command += ["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child", "--"]
        command += ["/bin/bash", str(_INIT), self.name, str(self.disk), str(self.shared), str(PROJECT)]
        command += [str(self._pause), self._group, self._lower, *self._init]
        try:
            with (self.disk / "init.log").open("wb") as log:
                self._holder = subprocess.Popen(
                    self._within_groups([*_move_fd(writer), *command]),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(writer,),
                    start_new_session=True,
                )
        finally:
            os.close(writer)
        with os.fdopen(reader, "rb") as ready:
            if ready.readline().strip() != b"ready":  # the holder keeps its end open
                self.kill()
                raise RuntimeError(f"node {self.name} does not start:\n{(self.disk / 'init.log').read_text()}")
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text().split()
        self.pid = int(children[0])

    def kill(self) -> None:
        """Cut the power: everything in the node ends at once; its disk stays."""
        if self._holder is None:
            return
        if self.pid:
            try:
                handle = os.pidfd_open(self.pid)
            except ProcessLookupError:
                handle = -1
            if handle >= 0:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                os.close(handle)
        else:
            self._holder.kill()
        self._holder.wait(timeout=30)
        self._holder = None
        self.pid = 0
        remove_group(self._group)

    def run(
        self,
        command: Sequence[str | Path],
        *,
        check: bool = True,
        timeout_s: float | None = 60,
        input: bytes | None = None,  # noqa: A002 - subprocess' word
        env: Mapping[str, str] | None = None,
        cwd: str | Path = "/",
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the node and return its output as text; raises CalledProcessError with it in the notes."""
        done = subprocess.run(
            self._enter(command, cwd=cwd),
            check=False,
            capture_output=True,
            timeout=timeout_s,
            input=input,
            env=self._environment(env),
        )
        result = subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )
        if check and done.returncode:
            error = subprocess.CalledProcessError(done.returncode, list(command), result.stdout, result.stderr)
            error.add_note(f"stdout: {result.stdout[-2000:]}\nstderr: {result.stderr[-2000:]}")
            raise error
        return result

    def popen(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | Path = "/",
        **options: Any,
    ) -> NodeProcess:
        """Start a process in the node; it gets SIGTERM when this process dies."""
        command = ["setpriv", "--pdeathsig", "TERM", *command]
        return NodeProcess(self._enter(command, cwd=cwd), env=self._environment(env), **options)

    def path(self, inside: str | Path) -> Path:
        """Return where a file of the node is, seen from outside (also unix sockets); valid until the node ends."""
        return Path(f"/proc/{self.pid}/root") / str(inside).lstrip("/")

    def python(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run this Python with the project on its path in the node."""
        return self.run([sys.executable, *arguments], cwd=PROJECT, **options)

    def enter_command(self) -> list[str]:
        """Return the command line that enters the node by hand, from a root shell."""
        return self._enter(["/bin/bash"], cwd="/")

    def _enter(self, command: Sequence[str | Path], *, cwd: str | Path) -> list[str]:
        if not self.pid:
            raise RuntimeError(f"node {self.name} is not running")
        # The root is named: that of the mount namespace is another one where the lab itself runs in a chroot.
        spaces = ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-C"]
        spaces += [f"--root={self.path('/')}", f"--wd={self.path(cwd)}", "--"]
        return self._within_groups([*spaces, *(str(part) for part in command)])

    def _within_groups(self, command: list[str]) -> list[str]:
        """Put a command into the node's control groups before it runs."""
        files = [str(group / "cgroup.procs") for group in self._groups]
        if len(files) == 1 and (self._groups[0] / "init").exists():
            files = [str(self._groups[0] / "init/cgroup.procs")]
        script = f'for f in "${{@:1:{len(files)}}}"; do echo $$ > "$f"; done; shift {len(files)}; exec "$@"'
        return ["/bin/bash", "-c", script, "lab", *files, *command]

    @staticmethod
    def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
        kept = {key: os.environ[key] for key in ("LANG", "TERM") if key in os.environ}
        path = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return {"PATH": path, "HOME": "/root"} | kept | dict(extra or {})


def _move_fd(descriptor: int) -> list[str]:
    """Return a prefix that makes a descriptor number 3 of the command behind it."""
    return ["/bin/bash", "-c", f'exec 3>&{descriptor} {descriptor}>&-; exec "$@"', "lab"] if descriptor != 3 else []

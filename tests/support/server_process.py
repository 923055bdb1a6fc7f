"""A whole `k3py server --disable-agent` as a process of its own: API server, controllers and scheduler, for black-box tests."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

_ROOT = Path(__file__).resolve().parents[2]
_START_S = 60.0


class ServerProcess:
    """Runs while the block lasts; files lie in `folder`; a second one on the same folder goes on with its data.

    arguments: further flags. program: how Python starts k3py.

    Attributes:
        url: where it answers.
        ca, admin_cert, admin_key: PEM files that it made.
        kubeconfig: of the admin.
    """

    def __init__(self, folder: Path, *arguments: str, program: Sequence[str] = ("-m", "k3py")) -> None:
        tls = folder / "data" / "server" / "tls"
        self.folder = folder
        self.url = ""
        self.ca = tls / "server-ca.crt"
        self.admin_cert = tls / "client-admin.crt"
        self.admin_key = tls / "client-admin.key"
        self.kubeconfig = folder / "kubeconfig"
        self.log = folder / "server.log"
        self._arguments = arguments
        self._program = program
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, *self._program, "server", "--disable-agent", "--bind-address", "127.0.0.1"]
        command += ["--https-listen-port", str(port), "--node-ip", "192.0.2.1"]
        command += ["--data-dir", str(self.folder / "data"), "--write-kubeconfig", str(self.kubeconfig)]
        command += self._arguments
        self.kubeconfig.unlink(missing_ok=True)  # of an earlier run on the same folder
        with self.log.open("a") as log:
            self._process = subprocess.Popen(command, cwd=_ROOT, stdout=log, stderr=log, text=True)
        deadline_s = time.monotonic() + _START_S
        while not self.kubeconfig.exists():  # it is written once the server listens
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self._stop()
                raise RuntimeError(f"the server did not start\n{self.log.read_text()[-4000:]}")
            time.sleep(0.1)
        self.url = f"https://127.0.0.1:{port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _stop(self) -> None:
        process = self._process
        assert process is not None
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

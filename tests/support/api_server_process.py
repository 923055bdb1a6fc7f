"""A whole k3py API server as a process of its own, for black-box tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_ROOT = Path(__file__).resolve().parents[2]


class ApiServerProcess:
    """Runs `python -m tests.support.api_server` while the block lasts; files lie in `folder`.

    Attributes:
        url: where it answers.
        ca, admin_cert, admin_key: PEM files of its throw-away PKI.
        kubeconfig: of the admin.
    """

    def __init__(self, folder: Path, *, endpoint: str = "memory://") -> None:
        self.folder = folder
        self.url = ""
        self.ca = folder / "ca.crt"
        self.admin_cert = folder / "admin.crt"
        self.admin_key = folder / "admin.key"
        self.kubeconfig = folder / "kubeconfig"
        self.log = folder / "server.log"
        self._endpoint = endpoint
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.support.api_server", str(self.folder), self._endpoint]
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line.startswith("https://"):
            self._process.kill()
            self._process.wait()
            raise RuntimeError(f"the server did not start: {line}\n{self.log.read_text()[-4000:]}")
        self.url = line
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        assert process is not None
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

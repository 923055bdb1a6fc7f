"""`k3py kine` as a process, and etcdctl."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[2]
START_S = 20.0


class KineProcess:
    """A running `k3py kine`; `url` is what it says that it listens on."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log
        self.url = self._wait_for_url()

    def _wait_for_url(self) -> str:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            found = re.search(r" listening url=(\S+)", self.log.read_text())
            if found:
                return found[1]
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise AssertionError(f"k3py kine did not start: {self.log.read_text()}")

    def kill(self) -> None:
        """Kill it without warning."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Stop it in order; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@contextmanager
def kine(
    *flags: str, endpoint: str = "memory://", listen: str = "127.0.0.1:0"
) -> Iterator[KineProcess]:
    """Run `k3py kine`; the block's end stops it."""
    with tempfile.TemporaryDirectory(prefix="k3py-kine-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "k3py", "kine", "--listen-address", listen),
                    *("--endpoint", endpoint, *flags),
                ],
                stdout=file,
                stderr=file,
                cwd=PROJECT,
            )
        try:
            running = KineProcess(process, log)
            yield running
            running.stop()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


class Etcdctl:
    """etcdctl at an endpoint."""

    def __init__(self, program: str, url: str, *flags: str) -> None:
        self.command = [program, "--endpoints", url, *flags]
        names = ("ETCD", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(names)}

    def run(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command; `text` is its standard input."""
        return subprocess.run(
            [*self.command, *arguments],
            check=False,
            capture_output=True,
            text=True,
            input=text,
            env=self.environment,
            timeout=30,
        )

    def __call__(self, *arguments: str, text: str = "") -> str:
        """Run a command that must succeed; return what it prints."""
        done = self.run(*arguments, text=text)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """Run a command that must succeed; return its answer."""
        return json.loads(self(*arguments, "-w", "json"))

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run a command that goes on until the block is left."""
        with subprocess.Popen(
            [*self.command, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self.environment,
        ) as process:
            try:
                yield process
            finally:
                process.kill()


def etcdctl_programs() -> list[str]:
    """Return the etcdctls to test with: Debian's 3.4, and 3.5 and 3.6 beside $K3PY_TEST_ETCD."""
    found = [shutil.which("etcdctl")]
    if os.environ.get("K3PY_TEST_ETCD"):
        beside = Path(os.environ["K3PY_TEST_ETCD"])
        found += [str(beside.with_name(name)) for name in ("etcdctl-3.5", "etcdctl")]
    return [program for program in found if program and Path(program).exists()]

"""A `k3py server --disable-agent` as a process of its own, a kubectl and a plain HTTPS client that talk to it over TCP."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import quote

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

PROJECT = Path(__file__).resolve().parents[2]
START_S = 60
KUBECTL_S = 60


class ApiError(Exception):
    """An answer of 400 or more; `status` is its Status object."""

    def __init__(self, code: int, status: Any) -> None:
        super().__init__(f"{code}: {status}")
        self.code = code
        self.status = status


class BlackBox:
    """Runs the server while the block lasts; everything of it lies in `folder`.

    Attributes:
        url: Where it answers.
        kubeconfig: The administrator's.
        log: What it says.
    """

    def __init__(self, folder: Path, *flags: str) -> None:
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"
        self.log = folder / "server.log"
        self.port = _free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self._flags = flags
        self._process: subprocess.Popen[bytes] | None = None
        self._tls: ssl.SSLContext | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "k3py", "server", "--disable-agent", "--bind-address=127.0.0.1"]
        command += [f"--https-listen-port={self.port}", f"--data-dir={self.folder / 'data'}"]
        command += [f"--write-kubeconfig={self.kubeconfig}", f"--config={self.folder / 'config.yaml'}"]
        (self.folder / "config.yaml").write_text("{}\n")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen([*command, *self._flags], cwd=PROJECT, stdout=log, stderr=log)
        try:
            self.until(self._is_ready, what="a ready server", limit_s=START_S)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None
        return self._process.pid

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Any:
        """Send a request as the administrator and return the parsed answer.

        Raises:
            ApiError: for every answer of 400 and more.
        """
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self._context(), timeout=30)
        try:
            data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, data, {"Content-Type": content_type, "Accept": accept})
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        parsed = json.loads(text) if "json" in (response.getheader("Content-Type") or "") else text.decode()
        if response.status >= 400:
            raise ApiError(response.status, parsed)
        return parsed

    def stream(self, path: str, *, timeout_s: float = 30) -> tuple[http.client.HTTPSConnection, http.client.HTTPResponse]:
        """Start a GET whose answer does not end (a watch); the caller closes the connection."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self._context(), timeout=timeout_s)
        connection.request("GET", path, headers={"Accept": "application/json"})
        return connection, connection.getresponse()

    def until(self, condition: Callable[[], object], *, limit_s: float = 20, what: str = "the awaited state") -> Any:
        """Ask again, 20 times a second, until `condition()` is true, and return its value; the log's end is in the error."""
        deadline = time.monotonic() + limit_s
        last: BaseException | None = None
        while time.monotonic() < deadline:
            try:
                if value := condition():
                    return value
            except (ApiError, OSError, KeyError, AssertionError) as error:
                last = error
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError(f"the server ended with {self._process.returncode}:\n{self.log_tail()}")
            time.sleep(0.05)
        raise AssertionError(f"{what} was not reached within {limit_s} s ({last!r}):\n{self.log_tail()}")

    def log_tail(self, lines: int = 40) -> str:
        """Return the end of the server's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def make_namespace(self, name: str) -> None:
        """Create a namespace and wait until pods can be created in it."""
        self.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        account = f"/api/v1/namespaces/{quote(name)}/serviceaccounts/default"
        self.until(lambda: self.request("GET", account), what="the default service account")

    def _is_ready(self) -> bool:
        return self.kubeconfig.exists() and self.request("GET", "/readyz") == "ok"

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            credentials = read_credentials(self.kubeconfig, self.folder)
            self._tls = ssl.create_default_context(cafile=credentials["certificate-authority"])
            self._tls.load_cert_chain(credentials["client-certificate"], credentials["client-key"])
        return self._tls

    def _end(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


_WITH_SUBCOMMANDS = frozenset(("apply", "auth", "certificate", "config", "create", "rollout", "set", "top"))


class Kubectl:
    """The real kubectl with one kubeconfig, in one namespace. Calling it runs it and returns what it prints.

    `seen`: the different commands that tests ran, each as its words and the names of its flags, without values and names of objects.
    """

    seen: ClassVar[set[str]] = set()

    def __init__(self, kubeconfig: Path, namespace: str = "default") -> None:
        self.namespace = namespace
        self.path = kubectl_path()
        self.home = kubeconfig.parent / "home"
        self.environment = {**os.environ, "HOME": str(self.home), "KUBECONFIG": str(kubeconfig)}

    def run(
        self, *arguments: str, stdin: str | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run it, whatever its exit code."""
        return subprocess.run(
            self.command(arguments),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            env={**self.environment, **(environment or {})},
            timeout=KUBECTL_S,
            check=False,
        )

    def __call__(self, *arguments: str, stdin: str | None = None, **environment: str) -> str:
        """Run it and return what it prints; it must end with 0."""
        done = self.run(*arguments, stdin=stdin, environment=environment)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def fails(self, *arguments: str, stdin: str | None = None, code: int = 1, **environment: str) -> str:
        """Run it and return what it complains; it must end with `code`."""
        done = self.run(*arguments, stdin=stdin, environment=environment)
        assert done.returncode == code, f"kubectl {' '.join(arguments)}: {done.returncode} {done.stdout}{done.stderr}"
        return done.stderr

    def get(self, *arguments: str) -> Any:
        """Return what `kubectl get … -o json` prints, parsed."""
        return json.loads(self("get", *arguments, "-o", "json"))

    def rows(self, *arguments: str) -> list[list[str]]:
        """Return the table of `kubectl get …` as cells, split where two blanks or more stand; the header comes first."""
        return [cells(line) for line in self("get", *arguments).splitlines()]

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start it in the background, its output (both kinds) as a pipe; the caller ends it."""
        return subprocess.Popen(
            self.command(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**self.environment, **environment},
        )

    def command(self, arguments: Sequence[str]) -> list[str]:
        """Return the command line."""
        self.seen.add(shape_of(arguments))
        return [self.path, "-n", self.namespace, *arguments] if self.namespace else [self.path, *arguments]


def shape_of(arguments: Sequence[str]) -> str:
    """Return what kind of command a line is: "create role --verb --resource"."""
    words = [one for one in arguments if not one.startswith("-")]
    depth = 2 if words and words[0] in _WITH_SUBCOMMANDS else 1
    flags = sorted({one.partition("=")[0] for one in arguments if one.startswith("-") and one != "-"})
    return " ".join((*words[:depth], *flags))


def cells(line: str) -> list[str]:
    """Split a line of a table where two blanks or more stand."""
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def kubectl_path() -> str:
    """Return the kubectl to test with: $K3PY_TEST_KUBECTL, else the one on the PATH, else nothing."""
    return os.environ.get("K3PY_TEST_KUBECTL") or shutil.which("kubectl") or ""


def read_credentials(kubeconfig: Path, folder: Path) -> Mapping[str, str]:
    """Return the files of a kubeconfig's CA, client certificate and key; data in it is written to `folder` (0600)."""
    config = yaml.safe_load(kubeconfig.read_text())
    parts = {**config["clusters"][0]["cluster"], **config["users"][0]["user"]}
    files = {}
    for name in ("certificate-authority", "client-certificate", "client-key"):
        if name in parts:
            files[name] = parts[name]
            continue
        path = folder / f"{name}.pem"
        path.touch(mode=0o600)
        path.write_bytes(base64.b64decode(parts[f"{name}-data"]))
        files[name] = str(path)
    return files


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

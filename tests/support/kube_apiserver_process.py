"""A real kube-apiserver as a process (built by tests/support/kube_apiserver/build), and a client of it."""

from __future__ import annotations

import http.client
import json
import os
import re
import ssl
import subprocess
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

from tests.support.etcd import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM: Final = os.environ.get("K3PY_TEST_KUBE_APISERVER", "")
START_S: Final = 60.0
EVENT_TTL_S: Final = 10
_EXPECTED: Final = re.compile(
    "previous endpoints on kubernetes service|kube-system.* not found|not found.*kube-system|priorityclass"
)


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class Gone(Refused):
    """The revision was compacted."""


class ApiClient:
    """One connection to the API server: for one thread."""

    def __init__(self, port: int) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=60)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def open(
        self, method: str, path: str, document: Any = None, kind: str = "application/json"
    ) -> http.client.HTTPResponse:
        """Send a request; its answer's body is still to be read. Raises Refused."""
        body = None if document is None else json.dumps(document).encode()
        headers = {"Authorization": "Bearer token", "Content-Type": kind}
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        if answer.status >= 300:
            kind_of = Gone if answer.status == 410 else Refused
            raise kind_of(answer.status, answer.read().decode(errors="replace"))
        return answer

    def call(self, method: str, path: str, document: Any = None, kind: str = "application/json") -> Any:
        """Send a request; return the document that is answered. Raises Refused."""
        return json.loads(self.open(method, path, document, kind).read())


class KubeApiServer:
    """A running kube-apiserver."""

    def __init__(self, port: int, log: Path) -> None:
        self._port = port
        self._log = log

    def client(self) -> ApiClient:
        """Return a client with a connection of its own."""
        return ApiClient(self._port)

    def wait_until_ready(self) -> None:
        """Return when it says that it is ready."""
        deadline = time.monotonic() + START_S
        while True:
            with closing(self.client()) as client:
                try:
                    client.open("GET", "/readyz").read()
                except (OSError, Refused, http.client.HTTPException):
                    assert time.monotonic() < deadline, self._log.read_text()[-3000:]
                    time.sleep(0.2)
                else:
                    return

    def complaints(self) -> list[str]:
        """Return the lines of its log that tell of an error after its start."""
        lines = self._log.read_text().splitlines()
        return [line for line in lines if re.match(r"[EF]\d{4} |panic", line) and not _EXPECTED.search(line)]


@contextmanager
def kube_apiserver(folder: Path, url: str) -> Iterator[KubeApiServer]:
    """Run a kube-apiserver on the etcd at `url`; it compacts every five seconds, and its Events live EVENT_TTL_S seconds."""
    port, log = free_port(), folder / "apiserver.log"
    key = folder / "sa.key"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    (folder / "tokens.csv").write_text('token,admin,1,"system:masters"\n')
    with log.open("wb") as file:
        process = subprocess.Popen(
            [
                *(PROGRAM, f"--etcd-servers={url}", f"--secure-port={port}", "--bind-address=127.0.0.1"),
                *(f"--cert-dir={folder}/certs", f"--token-auth-file={folder}/tokens.csv"),
                *(f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"),
                *("--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=RBAC"),
                *("--service-cluster-ip-range=10.0.0.0/24", "--endpoint-reconciler-type=none"),
                *("--etcd-compaction-interval=5s", f"--event-ttl={EVENT_TTL_S}s"),
            ],
            stdout=file,
            stderr=file,
            env={**os.environ, "KUBE_WATCHCACHE_CONSISTENCY_CHECKER": "true"},
        )
    try:
        server = KubeApiServer(port, log)
        server.wait_until_ready()
        yield server
        assert process.poll() is None, f"the API server ended: {log.read_text()[-3000:]}"
    finally:
        process.kill()
        process.wait()

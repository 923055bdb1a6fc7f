"""A k3py server in a lab node, and a real kubectl that talks to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from tests.support.lab import Lab
from tests.support.lab.node import PROJECT
from tests.support.lab.runtime import put_busybox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.lab.node import Node, NodeProcess

KUBECONFIG = "/etc/k3py/k3py.yaml"


class Server:
    """`k3py server` in a node. `flags` are added to the command line."""

    def __init__(self, node: Node, *flags: str) -> None:
        self.node = node
        self.flags = flags
        self.process: NodeProcess | None = None
        self.log = node.disk / "var/log/k3py.log"
        self.kubectl_path = os.environ.get("K3PY_TEST_KUBECTL") or "kubectl"

    def start(self) -> None:
        """Start it; returns at once."""
        command = [sys.executable, "-m", "k3py", "server", f"--node-ip={self.node.address}", *self.flags]
        with self.log.open("ab") as log:
            self.process = self.node.popen(command, cwd=PROJECT, stdout=log, stderr=log)

    def kill(self) -> None:
        """kill -9 the server alone; pods stay."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=10)

    def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    @property
    def pid(self) -> int:
        """The process id, seen from outside."""
        assert self.process is not None
        return self.process.inner_pid

    @property
    def url(self) -> str:
        """Where agents join."""
        return f"https://{self.node.address}:6443"

    @property
    def token(self) -> str:
        """What agents join with."""
        return self.node.run(["cat", "/var/lib/k3py/server/node-token"]).stdout.strip()

    def kubectl(
        self, *arguments: str, check: bool = True, stdin: str | None = None, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl in the node with the administrator's kubeconfig."""
        return self.node.run(
            [self.kubectl_path, *arguments],
            check=check,
            env={"KUBECONFIG": KUBECONFIG, "HOME": "/tmp"},
            input=stdin.encode() if stdin is not None else None,
            timeout_s=timeout_s,
        )

    def get(self, *arguments: str) -> Any:
        """Return what `kubectl get … -o json` says, parsed."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)

    def until(self, condition: Callable[[], object], *, limit_s: float = 60, what: str = "the awaited state") -> Any:
        """Ask again, 10 times a second, until `condition()` is true, and return its value; the log's end is in the error."""
        deadline = time.monotonic() + limit_s
        last: BaseException | None = None
        while time.monotonic() < deadline:
            try:
                if value := condition():
                    return value
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired, KeyError, json.JSONDecodeError) as error:
                last = error
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log_tail()}")
            time.sleep(0.1)
        raise AssertionError(f"{what} was not reached within {limit_s} s ({last!r}):\n{self.log_tail()}")

    def log_tail(self, lines: int = 60) -> str:
        """Return the end of the server's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def wait_ready(self, *, limit_s: float = 90) -> None:
        """Wait until the node is Ready."""
        self.until(
            lambda: "True"
            in self.kubectl(
                "get", "nodes", "-o", 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}', timeout_s=10
            ).stdout,
            limit_s=limit_s,
            what="a Ready node",
        )


def start_agent(node: Node, server: str, token: str, *flags: str) -> NodeProcess:
    """Start `k3py agent` in a node with the URL of a server; returns at once."""
    command = [sys.executable, "-m", "k3py", "agent", f"--server={server}", "--token-file=/etc/k3py/token", *flags]
    (node.disk / "etc/k3py/token").write_text(token)
    with (node.disk / "var/log/k3py.log").open("ab") as log:
        return node.popen(command, cwd=PROJECT, stdout=log, stderr=log)


@contextmanager
def running_server(*flags: str, images: bool = True) -> Iterator[Server]:
    """Yield a server whose node is Ready, in a lab of its own."""
    with Lab() as lab:
        node = lab.add_node("n1")
        if images:
            put_busybox(node)
        server = Server(node, *flags)
        server.start()
        try:
            server.wait_ready()
            yield server
        finally:
            if server.process is not None and server.process.poll() is None:
                server.kill()


@contextmanager
def running_pair(*flags: str, lab: Lab | None = None) -> Iterator[tuple[Server, Node]]:
    """Yield a server and a second node, `n2`, whose agent is `node.agent`; both Ready, in a lab of their own or in `lab`."""
    with ExitStack() as stack:
        lab = lab or stack.enter_context(Lab())
        first, second = lab.add_node("n1"), lab.add_node("n2")
        for node in (first, second):
            put_busybox(node)
        server = Server(first, *flags)
        server.start()
        try:
            server.wait_ready()
            second.agent = start_agent(second, server.url, server.token)
            try:
                server.until(lambda: server.kubectl("get", "nodes").stdout.count(" Ready ") == 2, what="two Ready nodes")
                yield server, second
            finally:
                if second.agent.poll() is None:
                    second.agent.kill()
                second.agent.wait(timeout=30)
        finally:
            if server.process is not None and server.process.poll() is None:
                server.kill()


def main() -> int:
    """Run a server in a lab and a shell in its node: `python -m tests.support.cluster [FLAG …]`."""
    with running_server(*sys.argv[1:]) as server:
        print(f"log: {server.log}\nenter: {' '.join(server.node.enter_command())}")
        return subprocess.run(
            server.node.enter_command(), check=False, env={**os.environ, "KUBECONFIG": KUBECONFIG}
        ).returncode


if __name__ == "__main__":
    sys.exit(main())

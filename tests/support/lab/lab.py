"""The lab: a bridge in a network namespace of its own, and the nodes on it."""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from k3py.runtime.pause import pause_program
from tests.support.lab.cgroups import remove_group
from tests.support.lab.node import Node

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

_NETWORK = "192.168.77"
_GATEWAY = f"{_NETWORK}.1"


class Lab:
    """Entered as a context; leaving it ends and removes everything it made. Needs root.

    The bridge forwards nothing and has no uplink: a node's default route leads to it, and ends there.

    Args:
        folder: Where nodes' disks are; has to be a real disk (not tmpfs or overlay) for overlayfs. Default: below /var/tmp.
    """

    def __init__(self, *, folder: Path | None = None) -> None:
        self.id = secrets.token_hex(3)
        self.nodes: dict[str, Node] = {}
        self._base = folder
        self._group = f"k3py-lab-{self.id}"
        self._switch: subprocess.Popen[bytes] | None = None
        self._stack = ExitStack()
        self.folder = Path()

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise PermissionError("the lab needs root")
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="k3py-lab-", dir=self._base or "/var/tmp"))
            self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self._stack.callback(remove_group, self._group)
            (self.folder / "shared").mkdir()
            self._pause = self.folder / "init"
            self._pause.write_bytes(pause_program(platform.machine()))
            self._pause.chmod(0o755)
            self._switch = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--", "/bin/bash", "-c", "echo; exec sleep infinity"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
            )
            self._stack.callback(self._end_switch, self._switch)
            assert self._switch.stdout is not None
            self._switch.stdout.readline()
            self._in_switch("ip", "link", "add", "br0", "type", "bridge")
            self._in_switch("ip", "address", "add", f"{_GATEWAY}/24", "dev", "br0")
            self._in_switch("ip", "link", "set", "br0", "up")
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def shared(self) -> Path:
        """A folder that has the same path in all nodes and outside."""
        return self.folder / "shared"

    def add_node(self, name: str, *, lower: str = "/", init: Sequence[str] = ()) -> Node:
        """Boot a node with an address on the bridge, and return it.

        Args:
            name: its host name.
            lower: what its root lies on: this machine's, or another's (layers with ":" between).
            init: its first process' command line; () = one that only waits and reaps.
        """
        node = Node(
            name=name,
            address=f"{_NETWORK}.{10 + len(self.nodes)}",
            disk=self.folder / "nodes" / name,
            shared=self.shared,
            pause=self._pause,
            group=f"{self._group}/{name}",
            lower=lower,
            init=init,
        )
        self.nodes[name] = node
        self._stack.callback(node.kill)
        self._boot(node)
        return node

    def restart_node(self, node: Node) -> None:
        """Cut a node's power and boot it again from its disk."""
        node.kill()
        # The kernel takes its namespace and cable away in its own time.
        self._in_switch("/bin/sh", "-c", 'ip link delete "$0" 2>/dev/null || true', _port(node))
        self._boot(node)

    def _boot(self, node: Node) -> None:
        node.start()
        # Before anything is changed in it: what is entered is the node, not this machine.
        node.run(["/bin/sh", "-c", '[ "$(cat /run/lab-name)" = "$0" ]', node.name])
        port = _port(node)
        assert self._switch is not None
        _ip("link", "add", "eth0", "netns", str(node.pid), "type", "veth", "peer", "name", port, "netns", str(self._switch.pid))
        self._in_switch("ip", "link", "set", port, "master", "br0", "up")
        node.run(["ip", "address", "add", f"{node.address}/24", "dev", "eth0"])
        node.run(["ip", "link", "set", "eth0", "up"])
        # Service addresses match no other route; the bridge drops what is not for a node.
        node.run(["ip", "route", "add", "default", "via", _GATEWAY])
        hosts = "".join(f"{other.address} {other.name}\n" for other in self.nodes.values())
        for other in self.nodes.values():
            if other.pid:
                other.path("/etc/hosts").write_text("127.0.0.1 localhost\n" + hosts)

    def _in_switch(self, *command: str) -> None:
        assert self._switch is not None
        subprocess.run(["nsenter", "-t", str(self._switch.pid), "-n", "--", *command], check=True)

    @staticmethod
    def _end_switch(switch: subprocess.Popen[bytes]) -> None:
        switch.kill()
        switch.wait()
        if switch.stdout is not None:
            switch.stdout.close()


def _port(node: Node) -> str:
    return f"v-{node.name}"[:15]


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)

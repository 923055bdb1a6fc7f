"""A node with a real containerd, usable from outside through its socket."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.lab.lab import Lab
from tests.support.lab.node import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.lab.node import Node, NodeProcess

SOCKET = "/run/k3py/containerd/containerd.sock"
DATA_DIR = "/var/lib/k3py"
POD_CIDR = "10.42.0.0/24"
BUSYBOX = Path("/bin/busybox")


def put_busybox(node: Node) -> None:
    """Lay the archive of busybox images where a node's containerd imports it at its start."""
    archive = node.disk / "var/lib/k3py/agent/images/busybox.tar"
    subprocess.run([sys.executable, str(PROJECT / "packaging/build_image.py"), str(archive)], check=True, cwd=PROJECT)


def start_containerd(node: Node) -> NodeProcess:
    """Start k3py's containerd component in a node and return its process, once ready."""
    process = node.popen(
        [sys.executable, "-m", "tests.support.lab.containerd", DATA_DIR, "/run/k3py", POD_CIDR],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    if process.stdout.readline().strip() != b"ready":
        process.stdout.close()
        process.wait(timeout=30)
        log = node.disk / "var/lib/k3py/agent/containerd/containerd.log"
        text = log.read_text()[-3000:] if log.exists() else "no log"
        raise RuntimeError(f"containerd does not start in {node.name}:\n{text}")
    return process


@contextmanager
def node_with_containerd() -> Iterator[Node]:
    """Yield a node that runs containerd, with busybox imported."""
    with Lab() as lab:
        node = lab.add_node("n1")
        put_busybox(node)
        process = start_containerd(node)
        try:
            yield node
        finally:
            process.terminate()
            process.wait(timeout=30)
            if process.stdout is not None:
                process.stdout.close()

"""etcd's face over any store, and clients of it: for the contract of the driver `etcd`, goldens and histories over the wire."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from k3py.datastore.errors import Unavailable
from k3py.datastore.etcdapi.client import EtcdClient
from k3py.datastore.etcdapi.listener import ListenAddress
from k3py.datastore.etcdapi.server import open_etcd_server
from k3py.datastore.factory import open_backend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from k3py.datastore.interface import Backend


@asynccontextmanager
async def served(backend: Backend) -> AsyncIterator[tuple[EtcdClient, str]]:
    """Serve `backend` on a loopback port; give a client and the URL."""
    async with open_etcd_server(backend, ListenAddress("127.0.0.1", 0), progress_interval_s=0.1) as url:
        client = EtcdClient([("127.0.0.1", int(url.rpartition(":")[2]))], None)
        try:
            yield client, url
        finally:
            await client.close()


@asynccontextmanager
async def open_over_the_wire(
    endpoint: str, *, history_s: float | None = None
) -> AsyncIterator[Backend]:
    """Open the driver `etcd` at k3py's own face over the store `endpoint`."""
    async with (
        open_backend(endpoint, history_s=history_s) as backend,
        served(backend) as (_, url),
        open_backend(url, history_s=None) as remote,
    ):
        yield remote


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def etcd_program() -> str | None:
    """Return the etcd to test with: $K3PY_TEST_ETCD, or Debian's; None: none is installed."""
    return os.environ.get("K3PY_TEST_ETCD") or shutil.which("etcd")


@lru_cache
def etcd_version() -> tuple[int, ...]:
    """Return the version of `etcd_program`."""
    shown = subprocess.run([str(etcd_program()), "--version"], check=True, capture_output=True, text=True)
    found = re.search(r"etcd Version: (\d+)\.(\d+)\.(\d+)", shown.stdout)
    return tuple(int(part) for part in found.groups()) if found else (0,)


@asynccontextmanager
async def open_real_etcd(folder: Path) -> AsyncIterator[Backend]:
    """Open the driver `etcd` at a real etcd with the data in `folder`."""
    with real_etcd(folder) as url:
        while True:
            async with AsyncExitStack() as stack:
                try:
                    backend = await stack.enter_async_context(open_backend(url, history_s=None))
                except Unavailable:
                    await asyncio.sleep(0.02)
                    continue
                yield backend
                return


@contextmanager
def real_etcd(folder: Path | None = None, *flags: str) -> Iterator[str]:
    """Run a real etcd in `folder` (a new one if None) until the block is left; give its URL. `flags` win over the tests' own."""
    program = etcd_program()
    if program is None:
        raise FileNotFoundError("etcd is not installed (Debian: etcd-server)")
    made = tempfile.mkdtemp(prefix="k3py-etcd-") if folder is None else None
    data = folder or Path(str(made))
    client, peer = free_port(), free_port()
    url, peer_url = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    with (data / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(program, "--data-dir", str(data / "data"), "--name", "test"),
                *("--listen-client-urls", url, "--advertise-client-urls", url),
                *("--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url),
                *("--initial-cluster", f"test={peer_url}", "--heartbeat-interval", "10"),
                *("--election-timeout", "100", "--logger", "zap", "--log-outputs", "stderr"),
                *flags,
            ],
            stdout=log,
            stderr=log,
            env={key: value for key, value in os.environ.items() if not key.startswith("ETCD")},
        )
    try:
        yield url
    finally:
        process.kill()
        process.wait()
        if made is not None:
            shutil.rmtree(made)


def wait_until_healthy(url: str) -> None:
    """Return when the etcd at `url` answers."""
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
                if b"true" in answer.read():
                    return
        except OSError:
            time.sleep(0.02)

"""What tunnels cost a server: memory and CPU of thousands that stand idle, and how fast they come back after a restart of the network.

python -m tests.benchmarks.bench_tunnels [--tunnels 2000] [--seconds 120]

Each simulated agent has a certificate and a tunnel of its own, as in k3py.cluster.tunnel.agent: a ping when a minute was silent.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import ssl
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import psutil

from k3py.cluster.tunnel.agent import PATH, PING_S
from k3py.pki.authority import KeyPair, LeafRequest, make_key, sign_leaf
from k3py.pki.tls import ignore_dates
from k3py.util.supervise import TaskScope
from tests.support.server_process import ServerProcess

AT_ONCE = 16
SETTLE_S = 20


def make_context(server: ServerProcess, authority: KeyPair, key: bytes, name: str, folder: Path) -> ssl.SSLContext:
    """Return the TLS settings of one agent."""
    leaf = LeafRequest(common_name=f"system:node:{name}", organizations=("system:nodes",))
    pem = folder / "agent.pem"
    pem.write_bytes(sign_leaf(authority, leaf, key=key) + key)
    context = ssl.create_default_context(cafile=str(server.ca))
    context.load_cert_chain(pem)
    ignore_dates(context)
    return context


async def answer(websocket: aiohttp.ClientWebSocketResponse) -> None:
    """Be an agent that nobody asks for anything."""
    async for _ in websocket:
        pass


async def open_all(
    server: ServerProcess, http: aiohttp.ClientSession, contexts: list[ssl.SSLContext], scope: TaskScope
) -> list[aiohttp.ClientWebSocketResponse]:
    """Open a tunnel for each context."""
    places = asyncio.Semaphore(AT_ONCE)

    async def open_one(context: ssl.SSLContext) -> aiohttp.ClientWebSocketResponse:
        async with places:
            websocket = await http.ws_connect(server.url + PATH, ssl=context, heartbeat=PING_S, compress=0)
        _ = scope.spawn(answer(websocket), name="agent")
        return websocket

    async with TaskScope() as opening:
        tasks = [opening.spawn(open_one(one), name="opening") for one in contexts]
    return [task.result() for task in tasks]


async def measure(server: ServerProcess, folder: Path, count: int, seconds: int) -> None:
    """Open, wait, print."""
    process = psutil.Process(server.pid)
    tls = server.ca.parent
    authority = KeyPair(certificate=(tls / "client-ca.crt").read_bytes(), key=(tls / "client-ca.key").read_bytes())
    key = make_key()
    contexts = [make_context(server, authority, key, f"n{number}", folder) for number in range(count)]
    await asyncio.sleep(SETTLE_S)
    idle_s = sum(process.cpu_times()[:2])
    await asyncio.sleep(seconds / 2)
    idle_percent = 100 * (sum(process.cpu_times()[:2]) - idle_s) / (seconds / 2)
    before = process.memory_info().rss
    async with AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        scope = await stack.enter_async_context(TaskScope())
        cpu_s, start = sum(process.cpu_times()[:2]), time.monotonic()
        opened = await open_all(server, http, contexts, scope)
        took_s = time.monotonic() - start
        cpu_s = sum(process.cpu_times()[:2]) - cpu_s
        print(f"{count} tunnels opened in {took_s:.1f} s: {count / took_s:.0f}/s, server's CPU {1000 * cpu_s / count:.2f} ms each")
        await asyncio.sleep(SETTLE_S)
        after = process.memory_info().rss
        print(f"server's RSS: {before / 2**20:.1f} MiB without, {after / 2**20:.1f} MiB with: {(after - before) / count / 1024:.1f} KiB a tunnel")
        cpu_s = sum(process.cpu_times()[:2])
        await asyncio.sleep(seconds)
        percent = 100 * (sum(process.cpu_times()[:2]) - cpu_s) / seconds
        print(f"server's CPU: {idle_percent:.2f} % without, {percent:.2f} % with, idle, of one core over {seconds} s")
        lost = sum(one.closed for one in opened)
        print(f"lost: {lost}")
        for one in opened:
            await one.close()


def main() -> None:
    """Measure on a server without a node."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tunnels", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=120)
    options = parser.parse_args()
    files = max(resource.getrlimit(resource.RLIMIT_NOFILE)[0], options.tunnels + 512)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, max(files, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    with tempfile.TemporaryDirectory() as folder, ServerProcess(Path(folder)) as server:
        asyncio.run(measure(server, Path(folder), options.tunnels, options.seconds))


if __name__ == "__main__":
    main()

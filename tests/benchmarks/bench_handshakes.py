"""A storm of TLS handshakes on a server's port, and machines that join: how many a second, what others feel, what it costs.

    python -m tests.benchmarks.bench_handshakes [--handshakes 10000] [--joins 100]

The storm opens all connections at once (as agents of a large site do when their server comes back); each asks for /readyz and closes.
Meanwhile one client goes on asking over a connection that was open before.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import ssl
import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from k3py.agent.join import Joiner
from k3py.errors import K3pyError
from tests.benchmarks.process_figures import family, memory_mb
from tests.support.server_process import ServerProcess

REQUEST = b"GET /readyz HTTP/1.1\r\nHost: k3py\r\nConnection: %s\r\n\r\n"
AT_ONCE = 2000  # sockets of this program: the rest waits for a free one, as for a local port
LIMIT_S = 300.0


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, last: bool) -> None:
    """Ask for /readyz and read the answer; raises OSError when there is none."""
    writer.write(REQUEST % (b"close" if last else b"keep-alive"))
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise OSError(head.decode(errors="replace"))
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)


async def storm(address: tuple[str, int], context: ssl.SSLContext, count: int) -> tuple[float, list[float], int]:
    """Open `count` connections; returns the seconds it took, each one's time to its answer, and how many attempts were repeated."""
    slots, times, repeated = asyncio.Semaphore(AT_ONCE), [], 0

    async def one() -> None:
        nonlocal repeated
        began = time.monotonic()
        while time.monotonic() - began < LIMIT_S:
            async with slots:
                try:
                    async with asyncio.timeout(60):
                        reader, writer = await asyncio.open_connection(*address, ssl=context)
                        try:
                            await ask(reader, writer, last=True)
                        finally:
                            writer.transport.abort()
                except (OSError, asyncio.IncompleteReadError, TimeoutError):
                    repeated += 1
                    await asyncio.sleep(0.2)
                    continue
            times.append(time.monotonic() - began)
            return
        raise SystemExit("a client did not get through")

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one())
    return time.monotonic() - began, times, repeated


async def stand_by(host: str, port: str, ca: str) -> None:
    """Ask 20 times a second over one connection until standard input ends; print how long each took, seconds."""
    reader, writer = await asyncio.open_connection(host, int(port), ssl=ssl.create_default_context(cafile=ca))
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    while not ended.done():
        began = time.monotonic()
        await ask(reader, writer, last=False)
        print(time.monotonic() - began, flush=True)
        await asyncio.sleep(0.05)
    writer.close()


async def join_many(server: ServerProcess, token: str, count: int, folder: Path) -> float:
    """Let `count` machines join, 16 at once; returns joins a second."""
    slots = asyncio.Semaphore(16)

    async def one(number: int) -> None:
        joiner = Joiner(
            server=server.url,
            token=token,
            folder=folder / str(number),
            node_name=f"edge-{number}",
            node_ip="192.0.2.9",
            node_password=f"{number:032x}",
        )
        async with slots:
            for _ in range(100):
                try:
                    await joiner.join()
                except K3pyError:
                    await asyncio.sleep(0.2)
                else:
                    return
            raise SystemExit(f"edge-{number} could not join")

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))
    return count / (time.monotonic() - began)


async def measure(server: ServerProcess, handshakes: int, joins: int, folder: Path) -> None:
    """Print the figures."""
    split = urlsplit(server.url)
    address = (split.hostname or "", split.port or 0)
    context = ssl.create_default_context(cafile=str(server.ca))
    pids = family()[1:]  # this program starts nothing but the server
    before = memory_mb(pids)
    bystander = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.bench_handshakes", "--stand-by", *map(str, address), str(server.ca)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert bystander.stdout is not None
    await bystander.stdout.readline()  # it is connected
    took_s, times, repeated = await storm(address, context, handshakes)
    others = sorted(map(float, (await bystander.communicate(b""))[0].split()))
    times.sort()
    print(f"{handshakes} handshakes at once: {handshakes / took_s:.0f} /s, {repeated} repeated, none given up")
    print(f"    until the answer: p50 {statistics.median(times):.2f} s, p99 {times[int(len(times) * 0.99)]:.2f} s")
    print(
        f"    a client on an open connection: p50 {statistics.median(others) * 1e3:.1f} ms, "
        f"p99 {others[int(len(others) * 0.99)] * 1e3:.0f} ms, most {others[-1] * 1e3:.0f} ms (n={len(others)})"
    )
    print(f"    server's memory before {before:.1f} MB, afterwards {memory_mb(pids):.1f} MB")
    token = (server.folder / "data/server/node-token").read_text().strip()
    print(f"joins, 16 at once: {await join_many(server, token, joins, folder):.1f} /s (n={joins})")
    print(f"    server's memory afterwards {memory_mb(pids):.1f} MB")


def main() -> None:
    """Run a server and measure it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--handshakes", type=int, default=10_000)
    parser.add_argument("--joins", type=int, default=100)
    parser.add_argument("--stand-by", nargs=3, metavar=("HOST", "PORT", "CA"), help="be the client that others disturb")
    parsed = parser.parse_args()
    if parsed.stand_by:
        asyncio.run(stand_by(*parsed.stand_by))
        return
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
    with tempfile.TemporaryDirectory() as folder, ServerProcess(Path(folder)) as server:
        asyncio.run(measure(server, parsed.handshakes, parsed.joins, Path(folder) / "agents"))


if __name__ == "__main__":
    main()

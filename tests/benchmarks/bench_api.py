"""The API over HTTPS, against a server process of its own: `python -m tests.benchmarks.bench_api [--endpoint sqlite:///…] [--json FILE]`.

Prints requests per second and latencies with 1 and 16 clients, CPU time of the server a request, and the fan-out of watches.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import ssl
import tempfile
import time
from pathlib import Path

from tests.benchmarks.http_load import Connection, Figures, run
from tests.support.api_server_process import ApiServerProcess

MAPS = "/api/v1/namespaces/default/configmaps"
WATCHERS = 50
EVENTS = 1000


def make_body(name: str) -> bytes:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"app": "bench"}}}
    return json.dumps({**body, "data": {"key": "value" * 40}}).encode()


class Bench:
    def __init__(self, server: ApiServerProcess) -> None:
        self._server = server
        self._tls = ssl.create_default_context(cafile=server.ca)
        self._tls.load_cert_chain(server.admin_cert, server.admin_key)
        self.results: dict[str, dict[str, float]] = {}

    async def connect(self, count: int) -> list[Connection]:
        connections = [Connection(self._server.url, self._tls) for _ in range(count)]
        for connection in connections:
            await connection.open()
        return connections

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self._server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def measure(self, name: str, clients: int, make_request, total: int, expect: int) -> None:
        connections = await self.connect(clients)
        before = self.cpu_s()
        figures: Figures = await run(connections, make_request, total, expect)
        cpu_us = (self.cpu_s() - before) / total * 1e6
        for connection in connections:
            connection.close()
        print(f"{name:28} {clients:3} clients  {figures}  server CPU {cpu_us:.0f} µs/req")
        self.results[f"{name}/{clients}"] = {
            "per_second": figures.per_second,
            "p50_ms": figures.percentile_ms(50),
            "p99_ms": figures.percentile_ms(99),
            "cpu_us": cpu_us,
        }

    async def run(self) -> None:
        for clients, total in ((1, 500), (16, 3000)):

            def create(n: int, clients: int = clients) -> tuple[str, str, bytes]:
                return "POST", MAPS, make_body(f"c{clients}-{n}")

            await self.measure("create configmap", clients, create, total, 201)

            def get(n: int, clients: int = clients) -> tuple[str, str, bytes]:
                return "GET", f"{MAPS}/c{clients}-{n % 500}", b""

            await self.measure("get configmap", clients, get, 4 * total, 200)
        await self.measure("list of 3,500 configmaps", 1, lambda n: ("GET", MAPS, b""), 20, 200)
        await self.fan_out()

    async def fan_out(self) -> None:
        """EVENTS changes, seen by WATCHERS watchers: lag from the writer's answer to each watcher's event."""
        watchers = await self.connect(WATCHERS)
        (writer,) = await self.connect(1)
        _, body = await writer.send("GET", f"{MAPS}?limit=1")
        revision = json.loads(body)["metadata"]["resourceVersion"]
        sent: dict[str, float] = {}
        lags: list[float] = []
        counts = [0] * WATCHERS

        async def watch(index: int, connection: Connection) -> None:
            rest = b""
            async for chunk in connection.stream(
                f"{MAPS}?watch=1&resourceVersion={revision}&timeoutSeconds=300"
            ):
                *lines, rest = (rest + chunk).split(b"\n")
                now = time.perf_counter()
                for line in lines:
                    at = line.find(b'"name":"w')
                    if at >= 0:
                        name = line[at + 8 : line.find(b'"', at + 8)].decode()
                        lags.append((now - sent[name]) * 1000)
                counts[index] += len(lines)
                if counts[index] >= EVENTS:
                    return

        async def write() -> None:
            connections = [writer, *await self.connect(3)]

            async def make(part: int) -> None:
                for n in range(part, EVENTS, 4):
                    sent[f"w{n}"] = time.perf_counter()
                    status, _ = await connections[part].send("POST", MAPS, make_body(f"w{n}"))
                    assert status == 201

            async with asyncio.TaskGroup() as group:
                for part in range(4):
                    group.create_task(make(part))

        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for index, connection in enumerate(watchers):
                group.create_task(watch(index, connection))
            await asyncio.sleep(0.5)
            started = time.perf_counter()
            group.create_task(write())
        seconds = time.perf_counter() - started
        lags.sort()
        p99 = lags[int(len(lags) * 0.99)]
        lost = WATCHERS * EVENTS - sum(counts)
        print(
            f"watch fan-out: {EVENTS / seconds:.0f} events/s x {WATCHERS} watchers, "
            f"lag from request p50 {lags[len(lags) // 2]:.1f} ms p99 {p99:.1f} ms, lost {lost}"
        )
        self.results["fan-out"] = {"events_per_second": EVENTS / seconds, "lag_p99_ms": p99, "lost": lost}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", default="sqlite", help="datastore; default: SQLite in a temporary folder")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        ApiServerProcess(Path(folder), endpoint="" if options.endpoint == "sqlite" else options.endpoint) as server,
    ):
        bench = Bench(server)
        asyncio.run(bench.run())
    if options.json:
        options.json.write_text(json.dumps(bench.results, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""`bench api`: requests a second and latencies of the API, in a namespace of its own."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final

from k3py.cli.bench.figure import Figure
from k3py.cli.bench.http_load import Connection, run
from k3py.util import clock

if TYPE_CHECKING:
    import argparse

    from k3py.cli.bench.http_load import Figures
    from k3py.cli.bench.namespace import Workspace
    from k3py.jsontypes import JsonObject

_LISTS: Final = 20
_EVENTS: Final = 200


async def measure_api(options: argparse.Namespace, space: Workspace) -> list[Figure]:
    """Create, read, change, list, watch and delete ConfigMaps of 200 bytes."""
    config = space.config
    token = config.token or (config.token_file.read_text().strip() if config.token_file else "")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    tls = config.make_tls()
    connections = [
        Connection(config.server, tls, headers, server_hostname=config.tls_server_name)
        for _ in range(options.clients)
    ]
    for one in connections:
        await one.open()
    maps = f"/api/v1/namespaces/{space.name}/configmaps"
    total = options.requests
    figures: list[Figure] = []

    def add(name: str, found: Figures, clients: int) -> None:
        figures.append(
            Figure(
                f"{name}, {clients} clients",
                found.per_second,
                "/s",
                f"p50 {found.percentile_ms(50):.2f} ms, p99 {found.percentile_ms(99):.2f} ms, n={len(found.latencies_ms)}",
            )
        )

    try:
        few = max(20, total // 20)
        add("create", await run(connections[:1], lambda n: ("POST", maps, _body(f"one-{n}")), few, 201), 1)
        add(
            "create",
            await run(connections, lambda n: ("POST", maps, _body(f"many-{n}")), total, 201),
            options.clients,
        )
        add("get", await run(connections[:1], lambda n: ("GET", f"{maps}/many-{n % total}"), few, 200), 1)
        add(
            "get",
            await run(connections, lambda n: ("GET", f"{maps}/many-{n % total}"), total, 200),
            options.clients,
        )
        add(
            "update",
            await run(
                connections, lambda n: ("PUT", f"{maps}/many-{n}", _body(f"many-{n}", "v2")), total, 200
            ),
            options.clients,
        )
        lists = await run(connections[:1], lambda _: ("GET", maps), _LISTS, 200)
        figures.append(Figure(f"list of {total + few}", lists.percentile_ms(50), "ms", "p50"))
        lag = await _watch_lag(space, maps, connections[0], headers)
        figures.append(
            Figure(
                "watch: change to event",
                _percentile(lag, 50),
                "ms",
                f"p50; p99 {_percentile(lag, 99):.2f} ms, n={len(lag)}",
            )
        )
        add(
            "delete",
            await run(connections, lambda n: ("DELETE", f"{maps}/many-{n}"), total, 200),
            options.clients,
        )
    finally:
        for one in connections:
            one.close()
    return figures


def _body(name: str, value: str = "v1") -> bytes:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"app": "bench"}}}
    return json.dumps({**body, "data": {"key": value * 100}}).encode()


def _percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


async def _watch_lag(space: Workspace, maps: str, writer: Connection, headers: dict[str, str]) -> list[float]:
    """Return the time from sending a create to its event, milliseconds each."""
    listed: JsonObject = await space.client.request("GET", maps, query={"limit": "1"})
    watcher = Connection(
        space.config.server, space.config.make_tls(), headers, server_hostname=space.config.tls_server_name
    )
    await watcher.open()
    sent: dict[str, float] = {}
    lags: list[float] = []

    async def watch() -> None:
        version = listed["metadata"]["resourceVersion"]
        rest = b""
        async for chunk in watcher.stream(f"{maps}?watch=true&resourceVersion={version}"):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                name = json.loads(line)["object"]["metadata"]["name"]
                if name in sent:
                    lags.append((clock.monotonic_s() - sent[name]) * 1000)
            if len(lags) >= _EVENTS:
                return

    async def write() -> None:
        for n in range(_EVENTS):
            name = f"watched-{n}"
            sent[name] = clock.monotonic_s()
            await writer.send("POST", maps, _body(name))

    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        _ = group.create_task(watch())
        _ = group.create_task(write())
    watcher.close()
    return lags

"""`/metrics` and `/health` of `k3py kine` over plain HTTP, as etcd's `--listen-metrics-urls`; imported only when asked for."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from k3py.datastore.errors import DatastoreError
from k3py.datastore.etcdapi.listener import bind_tcp
from k3py.util.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from k3py.datastore.etcdapi.listener import ListenAddress
    from k3py.datastore.etcdapi.metrics import FaceMetrics
    from k3py.datastore.interface import Backend


@asynccontextmanager
async def open_metrics_listener(
    backend: Backend, metrics: FaceMetrics, address: ListenAddress
) -> AsyncIterator[str]:
    """Serve until the block is left; gives the URL.

    Raises:
        OSError: cannot listen there.
    """

    async def show(_: web.Request) -> web.Response:
        try:
            text = await metrics.to_text(backend)
        except DatastoreError as error:
            return web.Response(status=503, text=f"{error}\n")
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    async def health(_: web.Request) -> web.Response:
        try:
            await backend.latest_revision()
        except DatastoreError as error:
            return web.json_response({"health": "false", "reason": str(error)}, status=503)
        return web.json_response({"health": "true", "reason": ""})

    app = web.Application()
    app.router.add_get("/metrics", show)
    app.router.add_get("/health", health)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        sock = bind_tcp(address)
        await web.SockSite(runner, sock).start()
        host = address.host or "127.0.0.1"
        yield f"http://{f'[{host}]' if ':' in host else host}:{sock.getsockname()[1]}/metrics"
    finally:
        await runner.cleanup()

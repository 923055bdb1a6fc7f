"""Both ends of a tunnel over a WebSocket on loopback, without TLS, and things to dial through it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

from k3py.cluster.tunnel.session import TunnelSession
from k3py.util.supervise import TaskScope
from k3py.wire.tunnel import LARGEST_FRAME_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Ends:
    """session: the server's end. websocket: the agent's, to break it. faults: how the server's end ended."""

    session: TunnelSession
    websocket: aiohttp.ClientWebSocketResponse
    faults: list[Exception] = field(default_factory=list)


@asynccontextmanager
async def listening(handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[int]:
    """Serve connections with `handle` on loopback; yields the port."""
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0)


async def dial_loopback(target: str) -> Streams:
    """Dial "host:port" as it is; "refused:…" is refused."""
    host, _, port = target.rpartition(":")
    if host == "refused":
        raise PermissionError("must not be dialled")
    return await asyncio.open_connection(host, int(port))


@asynccontextmanager
async def tunnel(dial: Callable[[str], Awaitable[Streams]] | None = dial_loopback) -> AsyncIterator[Ends]:
    """Yield a tunnel whose agent dials with `dial`; None = the agent's end is not served but left to the test."""
    sessions: asyncio.Queue[TunnelSession] = asyncio.Queue()
    faults: list[Exception] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        websocket = web.WebSocketResponse(max_msg_size=LARGEST_FRAME_BYTES, compress=False)
        await websocket.prepare(request)
        session = TunnelSession(websocket)
        try:
            async with TaskScope() as running:
                task = running.spawn(session.run(), name="server's end")
                await asyncio.sleep(0)
                sessions.put_nowait(session)
                await task
        except Exception as error:
            faults.append(error)
        return websocket

    server = web.Server(handle)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    try:
        async with aiohttp.ClientSession() as http, http.ws_connect(url, max_msg_size=LARGEST_FRAME_BYTES) as websocket, TaskScope() as scope:
            if dial is not None:
                _ = scope.spawn(TunnelSession(websocket, dial=dial).run(), name="agent's end")
            try:
                yield Ends(await sessions.get(), websocket, faults)
            finally:
                await websocket.close()
                scope.cancel()
    finally:
        listener.close()
        await server.shutdown(1.0)
        for _ in range(10):  # closing transports
            await asyncio.sleep(0)

"""Streams of the API as WebSocket messages, for browsers: watches (a text message an event) and logs.

Source: k8s.io/apiserver/pkg/endpoints/handlers/watch.go and k8s.io/apimachinery/pkg/util/net/wsstream v0.35.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from aiohttp import web

from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from k3py.apiserver.exchange import Exchange

_BASE64: Final = "base64.binary.k8s.io"
_BINARY: Final = "binary.k8s.io"
_HEARTBEAT_S: Final = 30.0


def is_websocket(request: web.BaseRequest) -> bool:
    """Say whether the client wants the connection to become a WebSocket."""
    return request.headers.get("Upgrade", "").lower() == "websocket"


class MessageStream:
    """Sends a stream of bytes over a WebSocket until the stream or the client ends."""

    def __init__(self, exchange: Exchange, *, text: bool) -> None:
        self._exchange = exchange
        self._text = text
        self._socket = web.WebSocketResponse(protocols=(_BINARY, _BASE64), heartbeat=_HEARTBEAT_S)

    async def run(self, chunks: AsyncIterator[bytes]) -> web.StreamResponse:
        """Accept the upgrade, send each chunk as one message, close."""
        socket = self._socket
        await socket.prepare(self._exchange.request)
        self._exchange.streaming = True
        async with TaskScope() as scope:
            sender = scope.spawn(self._send(chunks), name="websocket stream")
            _ = scope.spawn(self._watch_client(sender), name="websocket client")
        return socket

    async def _send(self, chunks: AsyncIterator[bytes]) -> None:
        socket = self._socket
        protocol = socket.ws_protocol
        try:
            async for chunk in chunks:
                if protocol == _BASE64:
                    await socket.send_str(base64.b64encode(chunk).decode())
                elif self._text and not protocol:
                    await socket.send_str(chunk.decode())
                else:
                    await socket.send_bytes(chunk)
        finally:
            await socket.close()

    async def _watch_client(self, sender: asyncio.Task[None]) -> None:
        """Answer pings and notice the end; what the client sends is for nobody."""
        async for _ in self._socket:
            pass
        sender.cancel()

"""Port-forward over WebSocket: SPDY frames in messages (kubectl), or two channels a port (older libraries).

Source: k8s.io/kubectl/pkg/cmd/portforward, k8s.io/kubelet/pkg/cri/streaming/portforward/websocket.go v0.35.
"""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Final

from aiohttp import WSMsgType, web

from k3py.kubelet.server.streaming import connect_runtime
from k3py.util.supervise import TaskScope
from k3py.util.upgrade import CHUNK_BYTES
from k3py.wire.remotecommand import (
    BASE64_V4,
    PORT,
    PORT_FORWARD_TUNNEL,
    REQUEST_ID,
    STREAM_TYPE,
    V4,
    encode_message,
)
from k3py.wire.spdy import DataReceived, SpdyConnection, SpdyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.kubelet.server.streaming import RuntimeConnection

PROTOCOL: Final = "portforward.k8s.io"
_LARGEST_MESSAGE_BYTES: Final = 32 << 20


async def serve_tunnel(request: web.BaseRequest, url: str) -> web.StreamResponse:
    """Carry SPDY frames in binary messages: the client and the runtime speak SPDY with each other."""
    runtime = await connect_runtime(url, (PROTOCOL,))
    socket = web.WebSocketResponse(
        protocols=(PORT_FORWARD_TUNNEL,), max_msg_size=_LARGEST_MESSAGE_BYTES, compress=False
    )
    try:
        await socket.prepare(request)
        async with TaskScope() as scope:
            upwards = scope.spawn(_to_runtime(socket, runtime), name="tunnel-in")
            downwards = scope.spawn(_to_client(socket, runtime), name="tunnel-out")
            await asyncio.wait((upwards, downwards), return_when=asyncio.FIRST_COMPLETED)
            scope.cancel()
    finally:
        runtime.writer.close()
        await socket.close()
    return socket


async def _to_runtime(socket: web.WebSocketResponse, runtime: RuntimeConnection) -> None:
    async for message in socket:
        if message.type != WSMsgType.BINARY:
            return
        runtime.writer.write(message.data)
        await runtime.writer.drain()


async def _to_client(socket: web.WebSocketResponse, runtime: RuntimeConnection) -> None:
    try:
        while data := await runtime.reader.read(CHUNK_BYTES):
            await socket.send_bytes(data)
    except ConnectionError:
        return


async def serve_channels(request: web.BaseRequest, url: str, ports: Sequence[int]) -> web.StreamResponse:
    """Serve channels 2n (data) and 2n+1 (error) for the n-th port, each begun with the port as two bytes, little endian."""
    runtime = await connect_runtime(url, (PROTOCOL,))
    socket = web.WebSocketResponse(
        protocols=(V4, BASE64_V4), max_msg_size=_LARGEST_MESSAGE_BYTES, compress=False
    )
    try:
        await socket.prepare(request)
        await _Channels(socket, runtime, ports).run()
    finally:
        runtime.writer.close()
        await socket.close()
    return socket


class _Channels:
    def __init__(
        self, socket: web.WebSocketResponse, runtime: RuntimeConnection, ports: Sequence[int]
    ) -> None:
        self._socket = socket
        self._runtime = runtime
        self._ports = ports
        self._spdy = SpdyConnection(client=True)
        self._streams: dict[int, int] = {}
        self._protocol = V4

    async def run(self) -> None:
        """Forward until the client or the runtime ends."""
        for index, port in enumerate(self._ports):
            headers = {PORT: str(port), REQUEST_ID: str(index)}
            error = self._spdy.open_stream({STREAM_TYPE: "error", **headers}, fin=True)
            data = self._spdy.open_stream({STREAM_TYPE: "data", **headers})
            self._streams |= {data: 2 * index, error: 2 * index + 1}
            for channel in (2 * index, 2 * index + 1):
                await self._socket.send_bytes(
                    encode_message(self._protocol, channel, struct.pack("<H", port))
                )
        await self._flush()
        async with TaskScope() as scope:
            upwards = scope.spawn(self._from_client(), name="port-forward-in")
            downwards = scope.spawn(self._from_runtime(), name="port-forward-out")
            await asyncio.wait((upwards, downwards), return_when=asyncio.FIRST_COMPLETED)
            scope.cancel()

    async def _flush(self) -> None:
        if data := self._spdy.take_output():
            self._runtime.writer.write(data)
            await self._runtime.writer.drain()

    async def _from_client(self) -> None:
        channels = {channel: stream for stream, channel in self._streams.items()}
        async for message in self._socket:
            if message.type != WSMsgType.BINARY or not message.data:
                return
            stream = channels.get(message.data[0])
            if stream is not None and message.data[0] % 2 == 0:
                self._spdy.send_data(stream, message.data[1:])
                await self._flush()

    async def _from_runtime(self) -> None:
        open_streams = set(self._streams)
        try:
            while open_streams and (data := await self._runtime.reader.read(CHUNK_BYTES)):
                for event in self._spdy.receive(data):
                    if isinstance(event, DataReceived) and event.stream_id in self._streams:
                        if event.data:
                            channel = self._streams[event.stream_id]
                            await self._socket.send_bytes(encode_message(self._protocol, channel, event.data))
                        if event.fin:
                            open_streams.discard(event.stream_id)
                await self._flush()
        except (SpdyError, ConnectionError):
            return

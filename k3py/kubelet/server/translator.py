"""WebSocket clients of exec and attach on a runtime that speaks SPDY.

kubectl (since 1.31) and the client libraries speak WebSocket; containerd's streaming server knows WebSocket only up to v4, which cannot
tell the end of stdin. So channels become SPDY streams here.

    client ── WebSocket: channel byte + data, 255 = close ──► here ── SPDY: stdin, stdout, stderr, error, resize ──► runtime

Source: k8s.io/apiserver/pkg/util/proxy/streamtranslator.go v0.35.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import WSMsgType, web

from k3py.kubelet.server.streaming import connect_runtime
from k3py.util.supervise import TaskScope
from k3py.util.upgrade import CHUNK_BYTES
from k3py.wire.remotecommand import (
    STREAM_TYPE,
    V1,
    V4,
    WEBSOCKET_PROTOCOLS,
    Channel,
    ChannelError,
    choose_protocol,
    decode_message,
    encode_message,
    error_for,
    is_base64,
    make_failure,
    remote_streams,
)
from k3py.wire.spdy import DataReceived, SpdyConnection, SpdyError, StreamReset

if TYPE_CHECKING:
    from k3py.kubelet.server.streaming import RuntimeConnection

_CHANNELS: Final = {
    "stdin": Channel.STDIN,
    "stdout": Channel.STDOUT,
    "stderr": Channel.STDERR,
    "error": Channel.ERROR,
    "resize": Channel.RESIZE,
}
_INPUTS: Final = {int(Channel.STDIN): "stdin", int(Channel.RESIZE): "resize"}
_LARGEST_MESSAGE_BYTES: Final = 32 << 20


async def serve_websocket(
    request: web.BaseRequest, url: str, *, stdin: bool, stdout: bool, stderr: bool, tty: bool
) -> web.StreamResponse:
    """Serve exec or attach at the runtime's `url` to a WebSocket client.

    Raises:
        RequestError: the runtime refused; the client gets it as an HTTP answer.
    """
    offered = [
        one.strip() for one in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if one.strip()
    ]
    protocol = choose_protocol(offered)
    runtime = await connect_runtime(url, (V4,))
    socket = web.WebSocketResponse(
        protocols=WEBSOCKET_PROTOCOLS if protocol else (), max_msg_size=_LARGEST_MESSAGE_BYTES, compress=False
    )
    try:
        await socket.prepare(request)
        streams = remote_streams(stdin=stdin, stdout=stdout, stderr=stderr, tty=tty)
        await _Translation(socket, socket.ws_protocol or V1, runtime, streams).run()
    finally:
        runtime.writer.close()
        await socket.close()
    return socket


class _Translation:
    def __init__(
        self,
        socket: web.WebSocketResponse,
        protocol: str,
        runtime: RuntimeConnection,
        streams: tuple[str, ...],
    ) -> None:
        self._socket = socket
        self._protocol = protocol
        self._runtime = runtime
        self._spdy = SpdyConnection(client=True)
        self._ids = {name: self._spdy.open_stream({STREAM_TYPE: name}) for name in streams}
        self._channels = {stream_id: _CHANNELS[name] for name, stream_id in self._ids.items()}
        self._open = {self._ids[name] for name in streams if name in ("stdout", "stderr", "error")}
        self._error = bytearray()

    async def run(self) -> None:
        """Translate until the command has ended or the client is gone."""
        await self._flush()
        async with TaskScope() as scope:
            upwards = scope.spawn(self._from_client(), name="websocket-in")
            downwards = scope.spawn(self._from_runtime(), name="websocket-out")
            await asyncio.wait((upwards, downwards), return_when=asyncio.FIRST_COMPLETED)
            if not downwards.done() and upwards.done() and self._socket.closed:
                downwards.cancel()
            elif not downwards.done():
                await asyncio.wait((downwards,))
            upwards.cancel()

    async def _flush(self) -> None:
        if data := self._spdy.take_output():
            self._runtime.writer.write(data)
            await self._runtime.writer.drain()

    async def _from_client(self) -> None:
        try:
            async for message in self._socket:
                if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                    break
                payload = message.data.encode() if isinstance(message.data, str) else message.data
                self._take(payload)
                await self._flush()
        except (ChannelError, ConnectionError):
            await self._socket.close()

    def _take(self, payload: bytes) -> None:
        message = decode_message(self._protocol, payload)
        if message.channel == Channel.CLOSE:
            if message.data[:1] == bytes((Channel.STDIN,)) and "stdin" in self._ids:
                self._spdy.send_data(self._ids["stdin"], b"", fin=True)
            return
        name = _INPUTS.get(message.channel, "")
        if name in self._ids and message.data:
            self._spdy.send_data(self._ids[name], message.data)

    async def _from_runtime(self) -> None:
        try:
            while self._open and (data := await self._runtime.reader.read(CHUNK_BYTES)):
                for event in self._spdy.receive(data):
                    await self._on_event(event)
                await self._flush()
        except (SpdyError, ConnectionError) as error:
            self._error[:] = self._error or make_failure(str(error))
        await self._send_error()
        await self._socket.close()

    async def _on_event(self, event: object) -> None:
        if isinstance(event, StreamReset):
            self._open.discard(event.stream_id)
        elif isinstance(event, DataReceived):
            channel = self._channels.get(event.stream_id)
            if channel == Channel.ERROR:
                self._error += event.data
            elif channel is not None and event.data:
                await self._send(channel, event.data)
            if event.fin:
                self._open.discard(event.stream_id)

    async def _send_error(self) -> None:
        """Tell how it ended, last of all: clients stop at it."""
        if text := error_for(self._protocol, bytes(self._error)):
            await self._send(Channel.ERROR, text)

    async def _send(self, channel: Channel, data: bytes) -> None:
        payload = encode_message(self._protocol, channel, data)
        try:
            if is_base64(self._protocol):
                await self._socket.send_str(payload.decode())
            else:
                await self._socket.send_bytes(payload)
        except ConnectionError:
            self._open.clear()

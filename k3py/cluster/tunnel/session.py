"""One tunnel, seen from either end: streams in a WebSocket, joined to sockets.

The server's end opens streams (`connect`), the agent's end dials what they name. Nothing here waits for a single stream: what comes for
it is kept, up to its window, and what leaves waits until the other side has room.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from typing import TYPE_CHECKING, Final

from aiohttp import WSMsgType

from k3py.util.supervise import TaskScope
from k3py.util.upgrade import end, send
from k3py.wire.tunnel import (
    CHUNK_BYTES,
    WINDOW_BYTES,
    Frame,
    FrameKind,
    TunnelError,
    decode_frame,
    encode_frame,
    encode_text,
    encode_window,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import ClientWebSocketResponse, web

    Dial = Callable[[str], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]

_LOG: Final = logging.getLogger(__name__)
MOST_STREAMS: Final = 1024
_ENDED: Final = "the tunnel has ended"
_FULL: Final = "the tunnel has too many streams"
_GRANT_BYTES: Final = WINDOW_BYTES // 2


class TunnelStream:
    """One stream: a pipe of bytes in each direction. Made by `TunnelSession`."""

    __slots__ = (
        "_came",
        "_consumed",
        "_ended",
        "_fault",
        "_number",
        "_room",
        "_send",
        "_space",
        "_waiting",
        "_wake",
    )

    def __init__(self, number: int, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._number = number
        self._send = send
        self._came: deque[bytes] = deque()
        self._waiting = 0  # bytes in `_came`
        self._consumed = 0  # bytes taken since the last grant
        self._space = WINDOW_BYTES  # bytes that we may send
        self._ended = False
        self._fault = ""
        self._wake = asyncio.Event()  # bytes, the end or a fault have come
        self._room = asyncio.Event()

    def take(self, frame: Frame) -> None:
        """Take in a DATA, WINDOW, END or RESET. Raises TunnelError when the window is overrun."""
        match frame.kind:
            case FrameKind.DATA:
                self._waiting += len(frame.payload)
                if self._waiting + self._consumed > WINDOW_BYTES:
                    raise TunnelError("a stream sends more than its window")
                self._came.append(frame.payload)
            case FrameKind.WINDOW:
                self._space += frame.room
                self._room.set()
            case FrameKind.END:
                self._ended = True
            case _:
                self.fail(frame.text or "the other side gave up")
        self._wake.set()

    def fail(self, why: str) -> None:
        """Wake whoever waits with a ConnectionResetError."""
        self._fault = self._fault or why
        self._wake.set()
        self._room.set()

    async def read(self) -> bytes:
        """Return the next bytes, b"" = the other side has ended. Raises ConnectionResetError."""
        while not self._came:
            if self._fault:
                raise ConnectionResetError(self._fault)
            if self._ended:
                return b""
            self._wake.clear()
            await self._wake.wait()
        data = self._came.popleft()
        self._waiting -= len(data)
        self._consumed += len(data)
        if self._consumed >= _GRANT_BYTES and not self._ended:
            granted, self._consumed = self._consumed, 0
            await self._send(encode_window(self._number, granted))
        return data

    async def write(self, data: bytes) -> None:
        """Send, waiting while the other side has no room. Raises ConnectionResetError."""
        start = 0
        while start < len(data):
            while not self._space and not self._fault:
                self._room.clear()
                await self._room.wait()
            if self._fault:
                raise ConnectionResetError(self._fault)
            size = min(self._space, CHUNK_BYTES, len(data) - start)
            self._space -= size
            await self._send(encode_frame(FrameKind.DATA, self._number, data[start : start + size]))
            start += size

    async def end(self) -> None:
        """Say that nothing more comes from here."""
        await self._send(encode_frame(FrameKind.END, self._number))


class TunnelSession:
    """A tunnel over a WebSocket that is open.

    Args:
        websocket: either end of it.
        dial: opens a connection to a target for the other side, OSError = it may or can not; None = this end dials for nobody.
    """

    def __init__(
        self, websocket: web.WebSocketResponse | ClientWebSocketResponse, *, dial: Dial | None = None
    ) -> None:
        self._websocket = websocket
        self._dial = dial
        self._streams: dict[int, TunnelStream] = {}
        self._opening: dict[int, asyncio.Future[None]] = {}
        self._next = 1
        self._scope: TaskScope | None = None

    async def run(self) -> None:
        """Carry streams until the WebSocket ends; streams end with it.

        Raises:
            TunnelError: the other side does not keep to the protocol.
        """
        try:
            async with TaskScope() as scope:
                self._scope = scope
                try:
                    await self._receive(scope)
                finally:
                    self._scope = None
                    self._fail_all()
                    scope.cancel()
        finally:
            await self._websocket.close()

    async def connect(self, target: str) -> socket.socket:
        """Have the other side dial "host:port", and return a socket that leads there.

        Raises:
            OSError: it may not, cannot, or the tunnel has ended.
        """
        if self._scope is None or len(self._streams) >= MOST_STREAMS:
            raise ConnectionResetError(_FULL if self._scope is not None else _ENDED)
        number, self._next = self._next, self._next + 1
        stream = self._streams[number] = TunnelStream(number, self._send)
        opened = self._opening[number] = asyncio.get_running_loop().create_future()
        try:
            await self._send(encode_text(FrameKind.OPEN, number, target))
            await opened
            return await self._lay(number, stream)
        except BaseException:
            if self._streams.pop(number, None) is not None:
                await self._tell(encode_text(FrameKind.RESET, number, "nobody waits for it"))
            raise
        finally:
            del self._opening[number]

    async def _lay(self, number: int, stream: TunnelStream) -> socket.socket:
        """Join a stream to a socket and return the other end of that."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        try:
            reader, writer = await asyncio.open_unix_connection(sock=ours, limit=CHUNK_BYTES)
        except BaseException:
            ours.close()
            theirs.close()
            raise
        if self._scope is None:
            writer.close()
            theirs.close()
            raise ConnectionResetError(_ENDED)
        task = self._scope.spawn(self._carry(number, stream, reader, writer), name="tunnel-stream")
        task.add_done_callback(lambda _: writer.close())  # also when it never began
        return theirs

    async def _receive(self, scope: TaskScope) -> None:
        async for message in self._websocket:
            if message.type != WSMsgType.BINARY:
                raise TunnelError("a message that is not binary")
            self._take(scope, decode_frame(message.data))

    def _take(self, scope: TaskScope, frame: Frame) -> None:
        stream = self._streams.get(frame.stream)
        if frame.kind is FrameKind.OPEN:
            if self._dial is None or stream is not None:
                raise TunnelError("a stream that must not be opened")
            stream = self._streams[frame.stream] = TunnelStream(frame.stream, self._send)
            _ = scope.spawn(self._serve(frame, stream, self._dial), name="tunnel-stream")
            return
        if stream is None:
            return  # has ended here meanwhile
        opening = self._opening.get(frame.stream)
        if opening is not None and not opening.done():
            if frame.kind is FrameKind.OPENED:
                opening.set_result(None)
            elif frame.kind is FrameKind.RESET:
                del self._streams[frame.stream]
                opening.set_exception(ConnectionRefusedError(frame.text))
            return
        stream.take(frame)

    async def _serve(self, frame: Frame, stream: TunnelStream, dial: Dial) -> None:
        number = frame.stream
        try:
            if len(self._streams) > MOST_STREAMS:
                raise ConnectionRefusedError("too many streams")
            reader, writer = await dial(frame.text)
        except OSError as error:
            del self._streams[number]
            await self._tell(encode_text(FrameKind.RESET, number, str(error) or type(error).__name__))
            return
        await self._tell(encode_frame(FrameKind.OPENED, number))
        await self._carry(number, stream, reader, writer)

    async def _carry(
        self, number: int, stream: TunnelStream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Copy between a stream and a connection until both directions have ended, or one breaks."""
        why = "given up"
        try:
            async with TaskScope() as scope:
                _ = scope.spawn(_to_stream(reader, stream), name="tunnel-out")
                await _from_stream(stream, writer)
            why = ""
        except* OSError as group:
            why = str(group.exceptions[0]) or "broken"
        finally:
            if why:
                writer.transport.abort()  # what was not read yet is worth nothing
            writer.close()
            if self._streams.pop(number, None) is not None and why:
                await self._tell(encode_text(FrameKind.RESET, number, why))

    async def _send(self, message: bytes) -> None:
        """Raises ConnectionResetError."""
        await self._websocket.send_bytes(message)

    async def _tell(self, message: bytes) -> None:
        """Send what matters only to the other side."""
        try:
            await self._send(message)
        except ConnectionError:
            _LOG.debug("the tunnel ended before a stream's end could be told")

    def _fail_all(self) -> None:
        for stream in self._streams.values():
            stream.fail(_ENDED)
        for opening in self._opening.values():
            if not opening.done():
                opening.set_exception(ConnectionResetError(_ENDED))


async def _to_stream(reader: asyncio.StreamReader, stream: TunnelStream) -> None:
    while data := await reader.read(CHUNK_BYTES):
        await stream.write(data)
    await stream.end()


async def _from_stream(stream: TunnelStream, writer: asyncio.StreamWriter) -> None:
    while data := await stream.read():
        await send(writer, data)
    end(writer)

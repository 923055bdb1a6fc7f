"""Calls gRPC methods: one connection to one server, opened when needed and anew when it is lost."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from k3py.datastore.etcdapi.grpc.message import CONTENT_TYPE, PREFIX, MessageBuffer, failure, framed
from k3py.datastore.etcdapi.grpc.server import QUEUED_MESSAGES
from k3py.datastore.etcdapi.grpc.transport import Http2Protocol
from k3py.util import clock
from k3py.version import VERSION
from k3py.wire.http2.frame import CANCEL, MAX_WINDOW, NO_ERROR
from k3py.wire.http2.header_block import METHOD_POST, SCHEME_HTTP, SCHEME_HTTPS, literals

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from k3py.wire.http2.header_block import Headers

PONG_S: Final = 10.0
"""How long a silent server may take to answer a ping."""

_USER_AGENT: Final = (b"user-agent", f"k3py/{VERSION}".encode())


class StreamLost(ConnectionError):
    """The connection or the call broke; what it did is not known."""


@lru_cache(maxsize=64)
def _request_head(path: str, authority: str, timeout_ms: int, *, secure: bool) -> bytes:
    headers = [(b":path", path.encode()), (b":authority", authority.encode())]
    if timeout_ms:
        headers.append((b"grpc-timeout", b"%dm" % timeout_ms))
    headers += [CONTENT_TYPE, (b"te", b"trailers"), _USER_AGENT]
    return METHOD_POST + (SCHEME_HTTPS if secure else SCHEME_HTTP) + literals(headers)


class _Call:
    """What is known of an open call."""

    __slots__ = ("buffer", "error", "head_came", "messages", "over", "sent", "unary", "waiter")

    def __init__(self, *, unary: bool) -> None:
        self.unary = unary
        self.buffer = MessageBuffer(MAX_WINDOW)
        self.messages: deque[bytes] = deque()
        self.head_came = False
        self.over = False
        self.error: Exception | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.sent: asyncio.Future[None] | None = None

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def finish(self, error: Exception | None) -> None:
        if not self.over:
            self.over = True
            self.error = error
        self.wake()
        if self.sent is not None and not self.sent.done():
            self.sent.set_result(None)


class ClientStream:
    """An open call in which both sides may send several messages."""

    __slots__ = ("_call", "_connection", "_id")

    def __init__(self, connection: ClientConnection, stream_id: int, call: _Call) -> None:
        self._connection = connection
        self._id = stream_id
        self._call = call

    async def send(self, message: bytes) -> None:
        """Send a message; wait while the server does not keep up.

        Raises:
            StreamLost: the call is over.
        """
        call, connection = self._call, self._connection
        if not call.over:
            done = connection.http2.send_data(self._id, framed(message))
            connection.flush_soon()
            if not done:
                call.sent = asyncio.get_running_loop().create_future()
                await call.sent
        if call.over:
            raise call.error or StreamLost("the server ended the call")

    async def receive(self) -> bytes | None:
        """Wait for a message; None: the server ended the call, all is well.

        Raises:
            GRPCError: the server ended it otherwise.
            StreamLost: the connection broke.
        """
        call = self._call
        while not call.messages:
            if call.over:
                if call.error is not None:
                    raise call.error
                return None
            call.waiter = asyncio.get_running_loop().create_future()
            await call.waiter
        message = call.messages.popleft()
        if len(call.messages) >= QUEUED_MESSAGES:
            self._connection.http2.consumed(self._id, len(message) + PREFIX.size)
            self._connection.flush_soon()
        return message


class ClientConnection(Http2Protocol):
    """One connection.

    Args:
        keepalive_s: after so many silent seconds the server of an open call is asked for a sign of life.
    """

    def __init__(self, keepalive_s: float) -> None:
        super().__init__(client=True)
        self.usable = False
        self.gone = asyncio.Event()
        self._calls: dict[int, _Call] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._keepalive_s = keepalive_s
        self._heard_s = 0.0
        self._pinged = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self.usable = True

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._heard_s = clock.monotonic_s()
        self._pinged = False
        super().data_received(data)

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self.usable = False
        if self._timer is not None:
            self._timer.cancel()
        for call in self._calls.values():
            call.finish(StreamLost(str(error) if error else "connection lost"))
        self._calls.clear()
        self._free()
        self.gone.set()

    def close(self) -> None:
        """Close at once."""
        self.usable = False
        if self.transport is not None:
            self.transport.abort()

    async def open(self, head: bytes, *, unary: bool) -> tuple[int, _Call]:
        """Open a call, when the server's limit of calls allows it.

        Raises:
            StreamLost: the connection is lost; nothing was sent.
        """
        while self.http2.open_streams >= self.http2.peer_streams and self.usable:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        if not self.usable:
            raise StreamLost("connection lost")
        stream_id = self.http2.open(head)
        call = self._calls[stream_id] = _Call(unary=unary)
        if self._timer is None:
            self._heard_s = clock.monotonic_s()
            self._timer = self._loop.call_later(self._keepalive_s, self._look)
        return stream_id, call

    def drop(self, stream_id: int) -> None:
        """Give a call up if it is still open, and forget it."""
        self.http2.reset(stream_id, CANCEL)
        self.flush_soon()
        if self._calls.pop(stream_id, None) is not None:
            self._ended()

    async def unary(self, head: bytes, message: bytes, limit_s: float) -> bytes:
        """Call a method with one request and one answer.

        Raises:
            GRPCError: the server's.
            StreamLost: the connection broke.
            TimeoutError: no answer in time.
        """
        stream_id, call = await self.open(head, unary=True)
        waiter = call.waiter = self._loop.create_future()
        timer = self._loop.call_later(limit_s, self._late, call)
        try:
            self.http2.send_data(stream_id, framed(message))
            self.http2.end(stream_id)
            self.flush_soon()
            await waiter
        finally:
            timer.cancel()
            if stream_id in self._calls:
                self.drop(stream_id)
        if call.error is not None:
            raise call.error
        if not call.messages:
            raise StreamLost("no answer")
        return call.messages[0]

    def _late(self, call: _Call) -> None:
        call.finish(TimeoutError())

    def _look(self) -> None:
        """Ask a silent server for a sign of life while calls are open; give it up if it gives none."""
        self._timer = None
        if not self._calls or self.transport is None:
            return
        silent_s = clock.monotonic_s() - self._heard_s
        if silent_s < self._keepalive_s:
            self._timer = self._loop.call_later(self._keepalive_s - silent_s, self._look)
        elif self._pinged:
            self.transport.abort()
        else:
            self._pinged = True
            self.http2.ping()
            self.flush_soon()
            self._timer = self._loop.call_later(PONG_S, self._look)

    def _ended(self) -> None:
        self._free(1)
        if not self.usable and not self._calls and self.transport is not None:
            self.transport.close()

    def _free(self, count: int | None = None) -> None:
        """Let calls that wait for the server's limit look again."""
        for _ in range(len(self._waiting) if count is None else min(count, len(self._waiting))):
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)

    # What comes in

    def headers_came(self, stream_id: int, headers: Headers, *, end: bool) -> None:
        """See `Listener`."""
        call = self._calls.get(stream_id)
        if call is None:
            return
        if not call.head_came:
            call.head_came = True
            status = dict(headers).get(b":status")
            if status != b"200":
                text = f"the server answers with HTTP status {(status or b'none').decode('latin-1')}"
                self._finish(stream_id, call, GRPCError(Status.UNKNOWN, text))
                return
        if end:
            self._finish(stream_id, call, failure(headers))

    def data_came(self, stream_id: int, data: bytes, *, end: bool) -> None:
        """See `Listener`."""
        call = self._calls.get(stream_id)
        if call is None:
            return
        taken = len(data)
        try:
            messages = call.buffer.feed(data)
        except GRPCError as error:
            self._finish(stream_id, call, error)
            return
        for message in messages:
            if len(call.messages) >= QUEUED_MESSAGES:
                taken -= len(message) + PREFIX.size
            call.messages.append(message)
        if taken > 0:
            self.http2.consumed(stream_id, taken)
        if end:
            self._finish(stream_id, call, StreamLost("the server ended the call without a status"))
        elif messages and not call.unary:
            call.wake()

    def reset_came(self, stream_id: int, code: int) -> None:
        """See `Listener`."""
        call = self._calls.get(stream_id)
        if call is not None:
            self._finish(stream_id, call, StreamLost(f"the server gave the call up, code {code}"))

    def go_away_came(self, last_stream_id: int, code: int, text: str) -> None:
        """See `Listener`: new calls need a new connection, those that the server has not seen fail."""
        self.usable = False
        why = text or ("the server stops" if code == NO_ERROR else f"code {code}")
        for stream_id, call in tuple(self._calls.items()):
            if stream_id > last_stream_id or code != NO_ERROR:
                self._finish(stream_id, call, StreamLost(f"the server closes the connection: {why}"))
        self._free()
        self._ended()

    def sent(self, stream_id: int) -> None:
        """See `Listener`."""
        call = self._calls.get(stream_id)
        if call is not None and call.sent is not None and not call.sent.done():
            call.sent.set_result(None)

    def _finish(self, stream_id: int, call: _Call, error: Exception | None) -> None:
        self.http2.reset(stream_id, CANCEL)  # nothing, when both sides have ended it
        del self._calls[stream_id]
        call.finish(error)
        self._ended()


class Channel:
    """A server that can be called.

    Args:
        host: or the path of a unix socket.
        port: 0 of a unix socket.
        tls: None: no TLS.
        keepalive_s: see `ClientConnection`.
    """

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None, keepalive_s: float) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._keepalive_s = keepalive_s
        self._authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}" if port else "localhost"
        self._connection: ClientConnection | None = None
        self._connecting = asyncio.Lock()

    async def connect(self) -> ClientConnection:
        """Return the connection, a new one if there is none that takes calls. Raises OSError."""
        connection = self._connection
        if connection is not None and connection.usable:
            return connection
        async with self._connecting:
            connection = self._connection
            if connection is not None and connection.usable:
                return connection
            loop = asyncio.get_running_loop()
            made = ClientConnection(self._keepalive_s)
            if self._port:
                await loop.create_connection(lambda: made, self._host, self._port, ssl=self._tls)
            else:
                name = "localhost" if self._tls is not None else None
                await loop.create_unix_connection(
                    lambda: made, self._host, ssl=self._tls, server_hostname=name
                )
            self._connection = made
            return made

    async def close(self) -> None:
        """Close the connection; calls that wait fail with StreamLost."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            await connection.gone.wait()

    async def unary(self, path: str, message: bytes, *, timeout_s: float) -> bytes:
        """Call the method at `path`; raises as `ClientConnection.unary`, and OSError when it cannot connect."""
        connection = await self.connect()
        return await connection.unary(self._head(path, timeout_s), message, timeout_s)

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[ClientStream]:
        """Call the method at `path`; the block's end gives the call up. Raises OSError."""
        connection = await self.connect()
        stream_id, call = await connection.open(self._head(path, 0), unary=False)
        connection.flush_soon()
        try:
            yield ClientStream(connection, stream_id, call)
        finally:
            connection.drop(stream_id)

    def _head(self, path: str, timeout_s: float) -> bytes:
        return _request_head(path, self._authority, int(timeout_s * 1e3), secure=self._tls is not None)

"""Serves gRPC calls: a task a call, cancelled when the client gives it up, its time is over, or the connection is lost."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from k3py.datastore.etcdapi.grpc.message import (
    OK_TRAILERS,
    PREFIX,
    RESPONSE_HEAD,
    MessageBuffer,
    framed,
    timeout_s,
    trailers,
)
from k3py.datastore.etcdapi.grpc.transport import Http2Protocol
from k3py.wire.http2.header_block import literals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from k3py.util.supervise import TaskScope
    from k3py.wire.http2.header_block import Headers

log = logging.getLogger(__name__)

QUEUED_MESSAGES: Final = 16
"""More of them wait for the handler of a stream only as far as the stream's window goes."""

_NOT_GRPC: Final = literals([(b":status", b"415"), (b"content-type", b"text/plain")])


@dataclass(frozen=True, slots=True)
class UnaryMethod:
    """A method with one request and one answer, both as bytes. Raises GRPCError."""

    answer: Callable[[bytes], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class StreamMethod:
    """A method with several requests or answers. Raises GRPCError."""

    serve: Callable[[ServerStream], Awaitable[None]]


Method: TypeAlias = UnaryMethod | StreamMethod


class ServerStream:
    """One call of a `StreamMethod`."""

    __slots__ = ("_buffer", "_connection", "_ended", "_head_sent", "_id", "_queue", "_sent", "_waiter")

    def __init__(self, connection: ServerConnection, stream_id: int, limit_bytes: int) -> None:
        self._connection = connection
        self._id = stream_id
        self._buffer = MessageBuffer(limit_bytes)
        self._queue: deque[bytes] = deque()
        self._ended = False
        self._head_sent = False
        self._waiter: asyncio.Future[None] | None = None
        self._sent: asyncio.Future[None] | None = None

    async def receive(self) -> bytes | None:
        """Wait for a message; None: the client has sent its last one."""
        while not self._queue:
            if self._ended:
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        message = self._queue.popleft()
        if len(self._queue) >= QUEUED_MESSAGES:
            self._connection.http2.consumed(self._id, len(message) + PREFIX.size)
            self._connection.flush_soon()
        return message

    async def send(self, message: bytes) -> None:
        """Send a message; wait while the client does not keep up."""
        http2 = self._connection.http2
        if not self._head_sent:
            self._head_sent = True
            http2.send_headers(self._id, RESPONSE_HEAD)
        done = http2.send_data(self._id, framed(message))
        self._connection.flush_soon()
        if not done:
            self._sent = asyncio.get_running_loop().create_future()
            await self._sent

    def end(self, block: bytes) -> None:
        """End the call with trailers."""
        self._connection.http2.end(self._id, block if self._head_sent else RESPONSE_HEAD + block)
        self._connection.flush_soon()

    def feed(self, data: bytes, *, end: bool) -> None:
        """Take data from the client. Raises GRPCError."""
        taken = len(data)
        for message in self._buffer.feed(data):
            if len(self._queue) >= QUEUED_MESSAGES:
                taken -= len(message) + PREFIX.size
            self._queue.append(message)
        if taken > 0:
            self._connection.http2.consumed(self._id, taken)
        self._ended = self._ended or end
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def sent_all(self) -> None:
        """Take note that everything is on its way."""
        if self._sent is not None and not self._sent.done():
            self._sent.set_result(None)


class _Call:
    __slots__ = ("buffer", "expired", "method", "stream", "task", "timeout_s", "timer")

    def __init__(self, method: Method, limit_s: float | None) -> None:
        self.method = method
        self.timeout_s = limit_s
        self.buffer: MessageBuffer | None = None
        self.stream: ServerStream | None = None
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.expired = False


class ServerConnection(Http2Protocol):
    """One client.

    Args:
        methods: by path.
        scope: where calls run.
        connections: holds this one while it is open.
        limit_bytes: of a request.
    """

    def __init__(
        self,
        methods: Mapping[bytes, Method],
        scope: TaskScope,
        connections: set[ServerConnection],
        limit_bytes: int,
    ) -> None:
        super().__init__(client=False)
        self._methods = methods
        self._scope = scope
        self._connections = connections
        self._limit_bytes = limit_bytes
        self._calls: dict[int, _Call] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._connections.discard(self)
        self.cancel()

    def cancel(self) -> None:
        """Cancel all calls."""
        for call in tuple(self._calls.values()):
            if call.task is not None:
                call.task.cancel()
        self._calls.clear()

    def close(self) -> None:
        """Tell the client to go elsewhere, cancel all calls, and close the connection."""
        self.cancel()
        self.http2.go_away()
        self.flush()
        if self.transport is not None:
            self.transport.close()

    # What comes in

    def headers_came(self, stream_id: int, headers: Headers, *, end: bool) -> None:
        """See `Listener`: a new call (the trailers of a client say nothing)."""
        if (known := self._calls.get(stream_id)) is not None:
            self._ended(stream_id, known)
            return
        fields = dict(headers)
        if not fields.get(b"content-type", b"").startswith(b"application/grpc"):
            self.http2.end(stream_id, _NOT_GRPC)
            return
        path = fields.get(b":path", b"")
        method = self._methods.get(path)
        if method is None:
            name = path.decode("utf-8", "replace").lstrip("/")
            self._refuse(stream_id, GRPCError(Status.UNIMPLEMENTED, f"unknown method {name}"))
            return
        call = _Call(method, timeout_s(headers) if b"grpc-timeout" in fields else None)
        self._calls[stream_id] = call
        if isinstance(method, StreamMethod):
            call.stream = ServerStream(self, stream_id, self._limit_bytes)
            self._start(stream_id, call, self._serve(stream_id, call, method, call.stream))
        if end:
            self._ended(stream_id, call)

    def data_came(self, stream_id: int, data: bytes, *, end: bool) -> None:
        """See `Listener`."""
        call = self._calls.get(stream_id)
        if call is None:
            return
        method = call.method
        try:
            if call.stream is not None:
                call.stream.feed(data, end=end)
            elif call.task is None and isinstance(method, UnaryMethod):
                if call.buffer is None:
                    call.buffer = MessageBuffer(self._limit_bytes)
                for message in call.buffer.feed(data)[:1]:
                    self._start(stream_id, call, self._answer(stream_id, call, method, message))
                    return
                if end:
                    self._ended(stream_id, call)
        except GRPCError as error:
            if call.task is not None:
                call.task.cancel()
            del self._calls[stream_id]
            self._refuse(stream_id, error)

    def _ended(self, stream_id: int, call: _Call) -> None:
        """Take the end of what the client sends."""
        if call.stream is not None:
            call.stream.feed(b"", end=True)
        elif call.task is None:
            del self._calls[stream_id]
            self._refuse(stream_id, GRPCError(Status.INTERNAL, "the call has no request"))

    def reset_came(self, stream_id: int, code: int) -> None:
        """See `Listener`."""
        call = self._calls.pop(stream_id, None)
        if call is not None and call.task is not None:
            call.task.cancel()

    def sent(self, stream_id: int) -> None:
        """See `Listener`."""
        call = self._calls.get(stream_id)
        if call is not None and call.stream is not None:
            call.stream.sent_all()

    # Calls

    def _start(self, stream_id: int, call: _Call, work: Coroutine[None, None, None]) -> None:
        call.task = self._scope.spawn(work, name="grpc-call")
        if call.timeout_s is not None:
            call.timer = self._loop.call_later(call.timeout_s, self._expire, call)

    def _expire(self, call: _Call) -> None:
        call.expired = True
        if call.task is not None:
            call.task.cancel()

    async def _answer(self, stream_id: int, call: _Call, method: UnaryMethod, message: bytes) -> None:
        try:
            answer = await method.answer(message)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a call's failure is the client's
            self._refuse(stream_id, self._failure(call, error))
        else:
            http2 = self.http2
            http2.send_headers(stream_id, RESPONSE_HEAD)
            http2.send_data(stream_id, framed(answer))
            http2.end(stream_id, OK_TRAILERS)
            self.flush_soon()
        finally:
            self._done(stream_id, call)

    async def _serve(self, stream_id: int, call: _Call, method: StreamMethod, stream: ServerStream) -> None:
        try:
            await method.serve(stream)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a call's failure is the client's
            stream.end(trailers(self._failure(call, error)))
        else:
            stream.end(OK_TRAILERS)
        finally:
            self._done(stream_id, call)

    def _failure(self, call: _Call, error: BaseException) -> GRPCError:
        """Return what the client is told. Raises what is nobody's answer."""
        if isinstance(error, GRPCError):
            return error
        if isinstance(error, asyncio.CancelledError) and call.expired:
            return GRPCError(Status.DEADLINE_EXCEEDED, "context deadline exceeded")
        if isinstance(error, asyncio.CancelledError):
            raise error
        log.error("a call failed", exc_info=error)
        return GRPCError(Status.UNKNOWN, "internal error")

    def _done(self, stream_id: int, call: _Call) -> None:
        if call.timer is not None:
            call.timer.cancel()
        if self._calls.get(stream_id) is call:
            del self._calls[stream_id]

    def _refuse(self, stream_id: int, error: GRPCError) -> None:
        self.http2.end(stream_id, RESPONSE_HEAD + trailers(error))
        self.flush_soon()

"""Services of the kubelet for plugins: methods over gRPC on a unix socket that only this user may use."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Server

from k3py.runtime.errors import RuntimeFailure
from k3py.runtime.grpc_channel import BytesCodec, ForgetfulProtocol
from k3py.wire.plugin_protobuf import load_plugin_messages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from grpclib.protocol import H2Protocol

    from k3py.jsontypes import JsonObject

    Answer = Callable[[JsonObject], Awaitable[JsonObject]]
    Answers = Callable[[JsonObject], AsyncIterator[JsonObject]]


class _Methods:
    """Methods by path, as grpclib wants them."""

    def __init__(self, answers: Mapping[str, Answer], streams: Mapping[str, Answers]) -> None:
        self._answers = answers
        self._streams = streams
        self._messages = load_plugin_messages()

    def __mapping__(self) -> dict[str, Handler]:
        one, many = Cardinality.UNARY_UNARY, Cardinality.UNARY_STREAM
        found = {path: Handler(self._unary(path), one, bytes, bytes) for path in self._answers}
        return found | {path: Handler(self._stream(path), many, bytes, bytes) for path in self._streams}

    def _unary(self, path: str) -> Callable[[Any], Awaitable[None]]:
        method = self._messages.method(path)

        async def serve(stream: Any) -> None:
            request = self._messages.decode(method.request, await stream.recv_message())
            try:
                answer = await self._answers[path](request)
            except RuntimeFailure as error:
                raise GRPCError(Status[error.code or "UNKNOWN"], str(error)) from None
            await stream.send_message(self._messages.encode(method.response, answer))

        return serve

    def _stream(self, path: str) -> Callable[[Any], Awaitable[None]]:
        method = self._messages.method(path)

        async def serve(stream: Any) -> None:
            request = self._messages.decode(method.request, await stream.recv_message())
            async for answer in self._streams[path](request):
                await stream.send_message(self._messages.encode(method.response, answer))

        return serve


class _Server(Server):
    def __init__(self, methods: _Methods) -> None:
        super().__init__([methods], codec=BytesCodec())
        self._connections: WeakSet[ForgetfulProtocol] = WeakSet()

    def _protocol_factory(self) -> H2Protocol:
        made = super()._protocol_factory()
        protocol = ForgetfulProtocol(made.handler, made.config, made.h2_config)
        self._connections.add(protocol)
        return protocol

    def close(self) -> None:
        super().close()
        for one in tuple(self._connections):
            one.end()


@asynccontextmanager
async def serve_socket(
    path: Path, answers: Mapping[str, Answer], streams: Mapping[str, Answers] | None = None
) -> AsyncIterator[None]:
    """Serve methods by path at a socket while the block lasts; a socket of a former process is replaced.

    An answer that raises RuntimeFailure is refused with its code.
    """
    server = _Server(_Methods(answers, streams or {}))
    await server.start(sock=_listen(path))
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()
        _remove(path)


def _listen(path: Path) -> socket.socket:
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)

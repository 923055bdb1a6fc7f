"""A plugin of the kubelet: methods over gRPC on a unix socket, as a test or a driver of ours has them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from grpclib.const import Cardinality, Handler, Status
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError
from grpclib.server import Server

from k3py.wire.plugin_protobuf import load_plugin_messages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from k3py.jsontypes import JsonObject

    Answer = Callable[[JsonObject], Awaitable[JsonObject]]

REGISTRATION = "/pluginregistration.Registration/"


class Refusal(Exception):
    """Answer a call with a gRPC status instead."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Raw(CodecBase):
    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:
        return bytes(message)

    def decode(self, data: bytes, message_type: Any) -> Any:
        return data


class _Methods:
    def __init__(self, answers: Mapping[str, Answer], streams: Mapping[str, Callable[[], AsyncIterator[JsonObject]]]) -> None:
        self._answers = answers
        self._streams = streams
        self._messages = load_plugin_messages()

    def __mapping__(self) -> dict[str, Handler]:
        found = {path: Handler(self._unary(path), Cardinality.UNARY_UNARY, bytes, bytes) for path in self._answers}
        return found | {path: Handler(self._stream(path), Cardinality.UNARY_STREAM, bytes, bytes) for path in self._streams}

    def _unary(self, path: str) -> Callable[[Any], Awaitable[None]]:
        method = self._messages.method(path)

        async def serve(stream: Any) -> None:
            request = self._messages.decode(method.request, await stream.recv_message())
            try:
                answer = await self._answers[path](request)
            except Refusal as refusal:
                raise GRPCError(refusal.status, str(refusal)) from None
            await stream.send_message(self._messages.encode(method.response, answer))

        return serve

    def _stream(self, path: str) -> Callable[[Any], Awaitable[None]]:
        method = self._messages.method(path)

        async def serve(stream: Any) -> None:
            await stream.recv_message()
            async for answer in self._streams[path]():
                await stream.send_message(self._messages.encode(method.response, answer))

        return serve


@asynccontextmanager
async def serve_plugin(
    socket: Path,
    answers: Mapping[str, Answer],
    streams: Mapping[str, Callable[[], AsyncIterator[JsonObject]]] | None = None,
) -> AsyncIterator[None]:
    """Serve methods by path at a socket, which is removed at the end as plugins do."""
    socket.parent.mkdir(parents=True, exist_ok=True)
    socket.unlink(missing_ok=True)
    server = Server([_Methods(answers, streams or {})], codec=_Raw())
    await server.start(path=str(socket))
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()
        socket.unlink(missing_ok=True)


def registration(kind: str, name: str, endpoint: Path, versions: list[str], told: list[JsonObject]) -> dict[str, Answer]:
    """Return the methods by which a plugin makes itself known; `told`: what the kubelet answers."""

    async def get_info(_: JsonObject) -> JsonObject:
        return {"type": kind, "name": name, "endpoint": str(endpoint), "supported_versions": versions}

    async def notify(request: JsonObject) -> JsonObject:
        told.append(request)
        return {}

    return {REGISTRATION + "GetInfo": get_info, REGISTRATION + "NotifyRegistrationStatus": notify}

"""gRPC calls over a unix socket as dicts: the node's door to grpclib's client, for the container runtime and for plugins of the kubelet.

A channel connects at the first call, again after a loss, and sends documents through a table of messages. gRPC codes become the
conditions of `k3py.runtime.errors`; the message is the runtime's own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from grpclib.client import Channel
from grpclib.const import Cardinality, Status
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError
from grpclib.protocol import H2Protocol
from h2.utilities import SizeLimitDict

from k3py.runtime.errors import (
    RuntimeFailure,
    RuntimeNotFound,
    RuntimeTimeout,
    RuntimeUnavailable,
    RuntimeUnsupported,
)
from k3py.util.clock import monotonic_s

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    from k3py.jsontypes import JsonObject
    from k3py.runtime.interface import CallObserver
    from k3py.wire.protobuf_messages import ProtobufMessages

_CONDITIONS: Final[dict[Status, type[RuntimeFailure]]] = {
    Status.NOT_FOUND: RuntimeNotFound,
    Status.DEADLINE_EXCEEDED: RuntimeTimeout,
    Status.UNAVAILABLE: RuntimeUnavailable,
    Status.UNIMPLEMENTED: RuntimeUnsupported,
}
_ENDED_STREAMS: Final = 256
# AttributeError: grpclib's, for a connection that was lost just before the request went out.
_LOST: Final = (OSError, StreamTerminatedError, ProtocolError, AttributeError)


class BytesCodec(CodecBase):
    """Messages are bytes already."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:
        """Return the message."""
        return bytes(message)

    def decode(self, data: bytes, message_type: Any) -> Any:
        """Return the data."""
        return data


class ForgetfulProtocol(H2Protocol):
    """A connection that forgets ended calls: h2 remembers 65,536 of them, 13 MB, for frames that were on their way."""

    _transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a connection."""
        super().connection_made(transport)
        self.connection._connection._closed_streams = SizeLimitDict(size_limit=_ENDED_STREAMS)  # noqa: SLF001
        self._transport = transport

    def end(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


class _Channel(Channel):
    def _protocol_factory(self) -> H2Protocol:
        made = super()._protocol_factory()
        return ForgetfulProtocol(made.handler, made.config, made.h2_config)


class GrpcChannel:
    """A connection to a socket; use it in one event loop, close it at the end.

    Args:
        socket: where the server listens.
        messages: what is spoken there.
        metadata: headers of every call.

    Attributes:
        observe: hears of unary calls, None = nobody does.
    """

    def __init__(
        self, socket: Path, messages: ProtobufMessages, metadata: Mapping[str, str] | None = None
    ) -> None:
        self.socket = socket
        self._messages = messages
        self._metadata = dict(metadata or {})
        self._channel: Channel | None = None
        self.observe: CallObserver | None = None

    def close(self) -> None:
        """Close the connection; calls that wait fail as RuntimeUnavailable."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    async def call(self, path: str, request: JsonObject, *, timeout_s: float) -> JsonObject:
        """Call a unary method and return its response.

        Raises:
            RuntimeFailure: and its kinds, by gRPC code.
        """
        if self.observe is None:
            return await self._call(path, request, timeout_s=timeout_s)
        began_s, failed = monotonic_s(), True
        try:
            answer = await self._call(path, request, timeout_s=timeout_s)
            failed = False
        finally:
            self.observe(path.rpartition("/")[2], monotonic_s() - began_s, failed=failed)
        return answer

    async def _call(self, path: str, request: JsonObject, *, timeout_s: float) -> JsonObject:
        method = self._messages.method(path)
        try:
            async with self._open().request(
                path,
                Cardinality.UNARY_UNARY,
                bytes,
                bytes,
                timeout=timeout_s,
                metadata=self._metadata,
            ) as stream:
                await stream.send_message(self._messages.encode(method.request, request), end=True)
                answer = await stream.recv_message()
        except GRPCError as error:
            raise _condition(error) from None
        except TimeoutError:
            raise RuntimeTimeout(f"{path} took longer than {timeout_s:g} s") from None
        except _LOST as error:
            raise RuntimeUnavailable(f"{self.socket}: {error}") from None
        if answer is None:
            raise RuntimeFailure(f"{path}: no answer")
        return self._messages.decode(method.response, answer)

    async def stream(self, path: str, request: JsonObject) -> AsyncGenerator[JsonObject]:
        """Call a server-streaming method; use it within `contextlib.aclosing`. Ends when the server ends it."""
        method = self._messages.method(path)
        try:
            async with self._open().request(
                path,
                Cardinality.UNARY_STREAM,
                bytes,
                bytes,
                metadata=self._metadata,
            ) as stream:
                await stream.send_message(self._messages.encode(method.request, request), end=True)
                while (answer := await stream.recv_message()) is not None:
                    yield self._messages.decode(method.response, answer)
        except GRPCError as error:
            raise _condition(error) from None
        except _LOST as error:
            raise RuntimeUnavailable(f"{self.socket}: {error}") from None

    def decode(self, message: str, data: bytes) -> JsonObject:
        """Decode a message that came inside another (google.protobuf.Any)."""
        return self._messages.decode(message, data)

    def _open(self) -> Channel:
        if self._channel is None:
            asyncio.get_running_loop()  # grpclib binds to the running loop
            self._channel = _Channel(path=str(self.socket), codec=BytesCodec())
        return self._channel


def _condition(error: GRPCError) -> RuntimeFailure:
    kind = _CONDITIONS.get(error.status, RuntimeFailure)
    made = kind(error.message or error.status.name)
    made.code = error.status.name
    return made

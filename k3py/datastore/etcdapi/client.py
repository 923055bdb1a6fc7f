"""Calls an etcd v3 cluster: several endpoints, the next one when one fails; conditions instead of gRPC codes.

A read is tried at each endpoint. A write only until it may have reached one: after that its outcome is unknown, which is Unavailable.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from grpclib.client import Channel
from grpclib.config import Configuration
from grpclib.const import Cardinality, Status
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError
from grpclib.protocol import H2Protocol
from h2.exceptions import ProtocolError as Http2Error
from h2.utilities import SizeLimitDict

from k3py.datastore.errors import (
    Corrupt,
    DatastoreError,
    FutureRevision,
    KeyNotFound,
    LeaseExists,
    LeaseNotFound,
    NoSpace,
    Unavailable,
)
from k3py.datastore.etcdapi.channel import MessageCodec

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator, Sequence

    from grpclib.client import Stream

    from k3py.jsontypes import JsonObject

CALL_TIMEOUT_S: Final = 10.0
CONNECT_TIMEOUT_S: Final = 3.0
KEEPALIVE_S: Final = 30.0
_LOST: Final = (OSError, StreamTerminatedError, ProtocolError, Http2Error)
_TEXTS: Final[tuple[tuple[str, type[DatastoreError]], ...]] = (
    ("requested lease not found", LeaseNotFound),
    ("lease already exists", LeaseExists),
    ("key not found", KeyNotFound),
    ("database space exceeded", NoSpace),
    ("corrupt cluster", Corrupt),
)


ENDED_STREAMS: Final = 4_096


class _Protocol(H2Protocol):
    """A connection that tells when it is gone: one under TLS outlives `close` for a while."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.gone = asyncio.Event()
        self.gone.set()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", transport)
        self.gone.clear()
        # h2 remembers 65,536 ended calls, 13 MB; it needs them for frames that were on their way.
        self.connection._connection._closed_streams = SizeLimitDict(size_limit=ENDED_STREAMS)  # noqa: SLF001

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.gone.set()


class _Channel(Channel):
    _last: _Protocol | None = None

    def _protocol_factory(self) -> H2Protocol:
        made = super()._protocol_factory()
        self._last = _Protocol(made.handler, made.config, made.h2_config)
        return self._last

    async def close_and_wait(self) -> None:
        self.close()
        if self._last is not None and self._last.transport is not None:
            self._last.transport.abort()
            await self._last.gone.wait()


class CompactedSomewhere(DatastoreError):
    """A revision was compacted; etcd does not say which is the first readable one."""


class EtcdClient:
    """Connections to the endpoints of one cluster.

    Args:
        endpoints: (host, port), or (path of a unix socket, 0).
        tls: None: no TLS.
    """

    def __init__(self, endpoints: Sequence[tuple[str, int]], tls: ssl.SSLContext | None) -> None:
        config = Configuration(
            _keepalive_time=KEEPALIVE_S,
            _keepalive_timeout=10.0,
            _http2_max_pings_without_data=0,
            _http2_min_sent_ping_interval_without_data=KEEPALIVE_S / 2,
        )
        self._channels = [
            _Channel(host, port, codec=MessageCodec(), ssl=tls, config=config)
            if port
            else _Channel(path=host, codec=MessageCodec(), ssl=tls, config=config)
            for host, port in endpoints
        ]
        self._names = [f"{host}:{port}" if port else host for host, port in endpoints]
        self._current = 0

    async def close(self) -> None:
        """Close the connections; calls that wait fail as Unavailable."""
        for channel in self._channels:
            await channel.close_and_wait()

    async def call(
        self, name: str, request: JsonObject, *, write: bool = False, timeout_s: float = CALL_TIMEOUT_S
    ) -> JsonObject:
        """Call the unary method "Service/Name" and return its response.

        Raises:
            DatastoreError: by gRPC code and text.
            ValueError: the request is refused.
        """
        failures = []
        for _ in self._channels:
            at = self._current
            try:
                channel = await self._connected(at)
            except (*_LOST, TimeoutError) as error:
                failures.append(f"{self._names[at]}: {_told(error)}")
                self._next(at)
                continue
            try:
                return await _unary(channel, name, request, timeout_s)
            except GRPCError as error:
                if error.status is not Status.UNAVAILABLE or write:
                    raise _condition(error, self._names[at]) from None
                failures.append(f"{self._names[at]}: {error.message}")
            except (*_LOST, TimeoutError) as error:
                if write:
                    self._next(at)
                    raise Unavailable(f"{self._names[at]}: no answer, outcome unknown: {error}") from None
                failures.append(f"{self._names[at]}: {_told(error)}")
            self._next(at)
        raise Unavailable(f"no etcd answers ({'; '.join(failures)})")

    async def call_each(self, name: str, request: JsonObject, *, timeout_s: float) -> None:
        """Call the unary method "Service/Name" at each endpoint, one after the other.

        Raises:
            DatastoreError: the first that fails; names it.
        """
        for at, endpoint in enumerate(self._names):
            with _translated(endpoint):
                await _unary(await self._connected(at), name, request, timeout_s)

    @asynccontextmanager
    async def stream(self, name: str) -> AsyncIterator[EtcdStream]:
        """Open the two-way stream of the method "Service/Name".

        Raises:
            Unavailable: it cannot be opened, or breaks inside the block; the next one will be opened at another endpoint.
            DatastoreError: the server ended it.
        """
        method = MessageCodec.messages().method(f"/etcdserverpb.{name}")
        at = self._current
        try:
            with _translated(self._names[at]):
                channel = await self._connected(at)
                async with channel.request(
                    method.path, Cardinality.STREAM_STREAM, _named(method.request), _named(method.response)
                ) as stream:
                    yield EtcdStream(stream, self._names[at])
                    await stream.cancel()  # else leaving waits for the server's end
        except Unavailable:
            self._next(at)
            raise

    async def _connected(self, at: int) -> Channel:
        channel = self._channels[at]
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await channel.__connect__()
        return channel

    def _next(self, failed: int) -> None:
        if self._current == failed:
            self._current = (failed + 1) % len(self._channels)


class EtcdStream:
    """An open two-way stream."""

    def __init__(self, stream: Stream[JsonObject, JsonObject], endpoint: str) -> None:
        self._stream = stream
        self._endpoint = endpoint

    async def send(self, request: JsonObject) -> None:
        """Send a request. Raises DatastoreError."""
        with _translated(self._endpoint):
            await self._stream.send_message(request)

    async def receive(self) -> JsonObject:
        """Wait for a response. Raises Unavailable also when the server has ended the stream."""
        with _translated(self._endpoint):
            response = await self._stream.recv_message()
        if response is None:
            raise Unavailable(f"{self._endpoint} ended the stream")
        return response


@contextmanager
def _translated(endpoint: str) -> Iterator[None]:
    try:
        yield
    except GRPCError as error:
        raise _condition(error, endpoint) from None
    except (*_LOST, TimeoutError) as error:
        raise Unavailable(f"{endpoint}: {_told(error)}") from None


def _told(error: Exception) -> str:
    return str(error) or "does not answer"


def _named(message: str) -> Any:
    """Return the message name where grpclib expects a type."""
    return message


async def _unary(channel: Channel, name: str, request: JsonObject, timeout_s: float) -> JsonObject:
    method = MessageCodec.messages().method(f"/etcdserverpb.{name}")
    async with channel.request(
        method.path,
        Cardinality.UNARY_UNARY,
        _named(method.request),
        _named(method.response),
        timeout=timeout_s,
    ) as stream:
        await stream.send_message(request, end=True)
        answer: JsonObject | None = await stream.recv_message()
    if answer is None:
        raise StreamTerminatedError("no answer")
    return answer


def _condition(error: GRPCError, endpoint: str) -> Exception:
    text = error.message or error.status.name
    if "has been compacted" in text:
        return CompactedSomewhere(text)
    if "future revision" in text:
        return FutureRevision(0)
    for part, kind in _TEXTS:
        if part in text:
            return kind(text)
    if error.status in (Status.INVALID_ARGUMENT, Status.OUT_OF_RANGE):
        return ValueError(text.removeprefix("etcdserver: "))
    return Unavailable(f"{endpoint}: {text}")

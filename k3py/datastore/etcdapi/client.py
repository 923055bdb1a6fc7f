"""Calls an etcd v3 cluster: several endpoints, the next one when one fails; conditions instead of gRPC codes.

A read is tried at each endpoint. A write only until it may have reached one: after that its outcome is unknown, which is Unavailable.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from k3py.datastore.errors import (
    Compacted,
    Corrupt,
    DatastoreError,
    FutureRevision,
    KeyNotFound,
    LeaseExists,
    LeaseNotFound,
    NoSpace,
    Unavailable,
)
from k3py.datastore.etcdapi.channel import decode_message, encode_message, load_messages
from k3py.datastore.etcdapi.grpc.channel import Channel, ClientConnection
from k3py.datastore.etcdapi.revision_offset import is_before, shift

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator, Sequence

    from k3py.datastore.etcdapi.grpc.channel import ClientStream
    from k3py.jsontypes import JsonObject
    from k3py.wire.protobuf_messages import Method

CALL_TIMEOUT_S: Final = 10.0
CONNECT_TIMEOUT_S: Final = 3.0
KEEPALIVE_S: Final = 30.0
_TEXTS: Final[tuple[tuple[str, type[DatastoreError]], ...]] = (
    ("requested lease not found", LeaseNotFound),
    ("lease already exists", LeaseExists),
    ("key not found", KeyNotFound),
    ("database space exceeded", NoSpace),
    ("corrupt cluster", Corrupt),
)


class CompactedSomewhere(DatastoreError):
    """A revision was compacted; etcd does not say which is the first readable one."""


class EtcdClient:
    """Connections to the endpoints of one cluster.

    Args:
        endpoints: (host, port), or (path of a unix socket, 0).
        tls: None: no TLS.

    Attributes:
        offset: see `revision_offset`; nobody who calls or streams sees etcd's own numbers.
    """

    def __init__(self, endpoints: Sequence[tuple[str, int]], tls: ssl.SSLContext | None) -> None:
        self._channels = [Channel(host, port, tls=tls, keepalive_s=KEEPALIVE_S) for host, port in endpoints]
        self._names = [f"{host}:{port}" if port else host for host, port in endpoints]
        self._current = 0
        self.offset = 0

    async def close(self) -> None:
        """Close the connections; calls that wait fail as Unavailable."""
        for channel in self._channels:
            await channel.close()

    async def call(
        self, name: str, request: JsonObject, *, write: bool = False, timeout_s: float = CALL_TIMEOUT_S
    ) -> JsonObject:
        """Call the unary method "Service/Name" and return its response.

        Raises:
            DatastoreError: by gRPC code and text.
            ValueError: the request is refused.
        """
        if self.offset:
            if is_before(request, self.offset):
                raise CompactedSomewhere("mvcc: required revision has been compacted")
            shift(request, -self.offset)
            answer = await self._call(name, request, write=write, timeout_s=timeout_s)
            shift(answer, self.offset)
            return answer
        return await self._call(name, request, write=write, timeout_s=timeout_s)

    async def _call(self, name: str, request: JsonObject, *, write: bool, timeout_s: float) -> JsonObject:
        failures = []
        for _ in self._channels:
            at = self._current
            try:
                await self._connected(at)
            except OSError as error:
                failures.append(f"{self._names[at]}: {_told(error)}")
                self._next(at)
                continue
            try:
                return await _unary(self._channels[at], name, request, timeout_s)
            except GRPCError as error:
                if error.status is not Status.UNAVAILABLE or write:
                    raise _condition(error, self._names[at]) from None
                failures.append(f"{self._names[at]}: {error.message}")
            except OSError as error:
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
                await self._connected(at)
                _ = await _unary(self._channels[at], name, request, timeout_s)

    @asynccontextmanager
    async def stream(self, name: str) -> AsyncIterator[EtcdStream]:
        """Open the two-way stream of the method "Service/Name".

        Raises:
            Unavailable: it cannot be opened, or breaks inside the block; the next one will be opened at another endpoint.
            DatastoreError: the server ended it.
        """
        method = load_messages().method(f"/etcdserverpb.{name}")
        at = self._current
        try:
            with _translated(self._names[at]):
                await self._connected(at)
                async with self._channels[at].stream(method.path) as stream:
                    yield EtcdStream(stream, self._names[at], method, self.offset)
        except Unavailable:
            self._next(at)
            raise

    async def _connected(self, at: int) -> ClientConnection:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await self._channels[at].connect()

    def _next(self, failed: int) -> None:
        if self._current == failed:
            self._current = (failed + 1) % len(self._channels)


class EtcdStream:
    """An open two-way stream."""

    def __init__(self, stream: ClientStream, endpoint: str, method: Method, offset: int) -> None:
        self._stream = stream
        self._endpoint = endpoint
        self._method = method
        self._offset = offset

    async def send(self, request: JsonObject) -> None:
        """Send a request. Raises DatastoreError."""
        if self._offset:
            if is_before(request, self._offset):
                raise Compacted(self._offset + 1)
            shift(request, -self._offset)
        with _translated(self._endpoint):
            await self._stream.send(encode_message(request, self._method.request))

    async def receive(self) -> JsonObject:
        """Wait for a response. Raises Unavailable also when the server has ended the stream."""
        with _translated(self._endpoint):
            response = await self._stream.receive()
        if response is None:
            raise Unavailable(f"{self._endpoint} ended the stream")
        document = decode_message(response, self._method.response)
        if self._offset:
            shift(document, self._offset)
        return document


@contextmanager
def _translated(endpoint: str) -> Iterator[None]:
    try:
        yield
    except GRPCError as error:
        raise _condition(error, endpoint) from None
    except OSError as error:
        raise Unavailable(f"{endpoint}: {_told(error)}") from None


def _told(error: Exception) -> str:
    return str(error) or "does not answer"


async def _unary(channel: Channel, name: str, request: JsonObject, timeout_s: float) -> JsonObject:
    method = load_messages().method(f"/etcdserverpb.{name}")
    message = encode_message(request, method.request)
    return decode_message(await channel.unary(method.path, message, timeout_s=timeout_s), method.response)


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

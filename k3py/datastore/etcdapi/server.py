"""Serves the RPCs over HTTP/2: the datastore's door to grpclib's server."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.protocol import H2Protocol
from grpclib.server import Handler as ConnectionHandler
from grpclib.server import Server
from h2.settings import SettingCodes
from h2.utilities import SizeLimitDict

from k3py.datastore.errors import DatastoreError
from k3py.datastore.etcdapi import (
    auth,
    cluster,
    compact,
    delete_range,
    lease,
    maintenance,
    put,
    snapshot,
    txn,
)
from k3py.datastore.etcdapi import range as range_
from k3py.datastore.etcdapi.channel import MAX_RECEIVED_BYTES, MessageCodec
from k3py.datastore.etcdapi.conditions import condition, refusal
from k3py.datastore.etcdapi.in_flight import InFlight
from k3py.datastore.etcdapi.listener import bind_tcp, private_socket
from k3py.datastore.etcdapi.store import Identity, Store
from k3py.datastore.etcdapi.watch import WatchStream
from k3py.util import clock

if TYPE_CHECKING:
    import socket
    import ssl
    from asyncio import BaseTransport
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from grpclib.protocol import Stream as H2Stream
    from grpclib.server import Stream

    from k3py.datastore.etcdapi.listener import ListenAddress
    from k3py.datastore.etcdapi.metrics import FaceMetrics
    from k3py.datastore.interface import Backend
    from k3py.jsontypes import JsonObject

    Answer = Callable[[Store, JsonObject], Awaitable[JsonObject]]
    Serve = Callable[[Stream[JsonObject, JsonObject]], Awaitable[None]]

PROGRESS_INTERVAL_S: Final = 5.0
STOP_S: Final = 5.0
"""How long a stop waits for the requests that are being answered."""

_NO_LIMIT: Final = (1 << 31) - 1
_ENDED_STREAMS: Final = 4_096
_SERVING: Final = b"\x08\x01"

UNARY: Final[tuple[tuple[str, Answer], ...]] = (
    ("KV/Range", range_.answer),
    ("KV/Put", put.answer),
    ("KV/DeleteRange", delete_range.answer),
    ("KV/Txn", txn.answer),
    ("KV/Compact", compact.answer),
    ("Lease/LeaseGrant", lease.grant),
    ("Lease/LeaseRevoke", lease.revoke),
    ("Lease/LeaseTimeToLive", lease.time_to_live),
    ("Lease/LeaseLeases", lease.leases),
    ("Cluster/MemberList", cluster.member_list),
    ("Maintenance/Status", maintenance.status),
    ("Maintenance/Alarm", maintenance.alarm),
    ("Maintenance/Defragment", maintenance.defragment),
    ("Maintenance/Hash", maintenance.hash_all),
    ("Maintenance/HashKV", maintenance.hash_kv),
    ("Auth/AuthStatus", auth.status),
    ("Auth/Authenticate", auth.authenticate),
)

_UNARY_NAMES: Final = frozenset(name for name, _ in UNARY)

_NO_USERS: Final = "k3py has no users or roles, client certificates decide who may connect"
_NO_MEMBERS: Final = (
    "the members of a k3py datastore cannot be changed, replication is the database's own matter"
)
REFUSED: Final[tuple[tuple[str, str, str], ...]] = (
    *(
        ("Auth", name, _NO_USERS)
        for name in (
            *("AuthEnable", "AuthDisable", "UserAdd", "UserGet", "UserList", "UserDelete"),
            *("UserChangePassword", "UserGrantRole", "UserRevokeRole", "RoleAdd", "RoleGet", "RoleList"),
            *("RoleDelete", "RoleGrantPermission", "RoleRevokePermission"),
        )
    ),
    *(("Cluster", f"Member{verb}", _NO_MEMBERS) for verb in ("Add", "Remove", "Update", "Promote")),
    ("Maintenance", "MoveLeader", "a k3py datastore has no leader to move"),
    ("Maintenance", "Downgrade", "a k3py datastore has no cluster version"),
)


@asynccontextmanager
async def open_etcd_server(
    backend: Backend,
    address: ListenAddress,
    *,
    tls: ssl.SSLContext | None = None,
    identity: Identity | None = None,
    progress_interval_s: float = PROGRESS_INTERVAL_S,
    stop_s: float = STOP_S,
    metrics: FaceMetrics | None = None,
) -> AsyncIterator[str]:
    """Serve `backend` to etcd clients until the block is left; gives the URL that clients can use.

    At the end requests that are being answered get up to `stop_s` seconds; watches and other streams are then cut, which clients take
    for a reason to go on elsewhere.

    Args:
        backend: an open store, which the caller closes afterwards.
        address: where to listen; port 0 is any free one.
        tls: a server context that offers "h2"; None: no TLS.
        identity: who this server says it is; None: k3py at that URL.
        progress_interval_s: how often a silent watch that asked for it is told how far it is, seconds.
        stop_s: how long the end waits for requests, seconds.
        metrics: counts calls and watches, None: nobody does.

    Raises:
        OSError: cannot listen there.
    """
    sock = bind_tcp(address) if address.path is None else None
    url = _url(address, sock, tls)
    store = Store(backend, identity or Identity(client_urls=(url,)))
    services = _Services(store, progress_interval_s, metrics)
    server = _Server(services)
    if address.path is not None:
        with private_socket(address.path):
            await server.start(path=str(address.path), ssl=tls)
    else:
        await server.start(sock=sock, ssl=tls, backlog=1024)
    try:
        yield url
    finally:
        server.close_listener()
        await services.in_flight.drain(stop_s)
        server.close()
        await server.wait_closed()
        if address.path is not None:
            address.path.unlink(missing_ok=True)


def _url(address: ListenAddress, sock: socket.socket | None, tls: ssl.SSLContext | None) -> str:
    if sock is None:
        return f"unix{'s' if tls else ''}://{address.path}"
    host = address.host or "127.0.0.1"
    return f"http{'s' if tls else ''}://{f'[{host}]' if ':' in host else host}:{sock.getsockname()[1]}"


class _Protocol(H2Protocol):
    connections: set[BaseTransport]
    transport: BaseTransport

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.transport = transport
        self.connections.add(transport)
        # h2 tells clients 100 streams; a client of etcd expects no limit, and has one open for each watch.
        http2 = self.connection._connection  # noqa: SLF001 - grpclib has no setting for it
        http2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: _NO_LIMIT})
        # h2 remembers 65,536 ended streams, 200 bytes each: 13 MB a connection. It needs them for frames that were on their way.
        http2._closed_streams = SizeLimitDict(size_limit=_ENDED_STREAMS)  # noqa: SLF001 - as above
        self.connection.flush()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.connections.discard(self.transport)
        super().connection_lost(exc)


class _Handler(ConnectionHandler):
    """Refuses a message by its length, before it is received: grpclib would take in any."""

    def accept(
        self, stream: H2Stream, headers: list[tuple[str, str]], release_stream: Callable[[], Any]
    ) -> None:
        stream.recv_data = partial(_receive, stream.recv_data)  # type: ignore[method-assign]
        super().accept(stream, headers, release_stream)


async def _receive(receive: Callable[[int], Awaitable[bytes]], size: int) -> bytes:
    if size > MAX_RECEIVED_BYTES:
        text = f"grpc: received message larger than max ({size} vs. {MAX_RECEIVED_BYTES})"
        raise GRPCError(Status.RESOURCE_EXHAUSTED, text)
    return await receive(size)


class _Server(Server):
    def __init__(self, services: _Services) -> None:
        super().__init__([services], codec=MessageCodec())
        self._connections: set[BaseTransport] = set()

    def _protocol_factory(self) -> H2Protocol:
        made = super()._protocol_factory()
        self._handlers.discard(made.handler)
        handler = _Handler(self._mapping, self._codec, self._status_details_codec, self.__dispatch__)
        self._handlers.add(handler)
        protocol = _Protocol(handler, made.config, made.h2_config)
        protocol.connections = self._connections
        return protocol

    def close_listener(self) -> None:
        """Take no more connections."""
        if self._server is not None:
            self._server.close()

    def close(self) -> None:
        """Stop listening, cancel all calls, and close the connections, which grpclib leaves open: clients go elsewhere at once."""
        super().close()
        for transport in tuple(self._connections):
            transport.close()


class _Services:
    """All services, as grpclib wants them."""

    def __init__(self, store: Store, progress_interval_s: float, metrics: FaceMetrics | None) -> None:
        self._store = store
        self._progress_interval_s = progress_interval_s
        self._metrics = metrics
        self.in_flight = InFlight()

    def __mapping__(self) -> Mapping[str, Handler]:
        """Return a handler for each path."""
        messages = MessageCodec.messages()
        handlers: dict[str, Handler] = {}
        for name, answer in UNARY:
            method = messages.method(f"/etcdserverpb.{name}")
            serve = self._counted(name, partial(self._unary, answer))
            handlers[method.path] = Handler(serve, Cardinality.UNARY_UNARY, method.request, method.response)
        for service, name, reason in REFUSED:
            method = messages.method(f"/etcdserverpb.{service}/{name}")
            serve = partial(self._refuse, reason)
            handlers[method.path] = Handler(serve, Cardinality.UNARY_UNARY, method.request, method.response)
        for name, stream, cardinality in (
            ("Watch/Watch", self._watch, Cardinality.STREAM_STREAM),
            ("Lease/LeaseKeepAlive", partial(lease.keep_alive, self._store), Cardinality.STREAM_STREAM),
            ("Maintenance/Snapshot", self._snapshot, Cardinality.UNARY_STREAM),
        ):
            method = messages.method(f"/etcdserverpb.{name}")
            serve = self._counted(name, stream)
            handlers[method.path] = Handler(serve, cardinality, method.request, method.response)
        handlers["/grpc.health.v1.Health/Check"] = Handler(self._health, Cardinality.UNARY_UNARY, "", "")
        return handlers

    def _counted(self, name: str, serve: Serve) -> Serve:
        """Return `serve` with its calls counted in the metrics, if there are any."""
        metrics = self._metrics
        if metrics is None:
            return serve

        async def counted(stream: Stream[JsonObject, JsonObject]) -> None:
            begun, code = clock.monotonic_s(), "Canceled"
            try:
                await serve(stream)
                code = "OK"
            except GRPCError as error:
                code = error.status.name.title().replace("_", "")
                raise
            finally:
                seconds = clock.monotonic_s() - begun if name in _UNARY_NAMES else None
                metrics.observe(name, code, seconds)

        return counted

    async def _unary(self, answer: Answer, stream: Stream[JsonObject, JsonObject]) -> None:
        request = await stream.recv_message()
        if request is None:
            raise refusal("no request", Status.INVALID_ARGUMENT)
        with self.in_flight.request():
            try:
                response = await answer(self._store, request)
            except (DatastoreError, ValueError) as error:
                raise condition(error) from None
            await stream.send_message(response)
            await stream.send_trailing_metadata()

    async def _snapshot(self, stream: Stream[JsonObject, JsonObject]) -> None:
        with self.in_flight.request():
            await snapshot.serve(self._store, stream)

    async def _refuse(self, reason: str, stream: Stream[JsonObject, JsonObject]) -> None:
        raise GRPCError(Status.UNIMPLEMENTED, f"etcdserver: {reason}")

    async def _watch(self, stream: Stream[JsonObject, JsonObject]) -> None:
        watches = WatchStream(self._store, stream, progress_interval_s=self._progress_interval_s)
        if self._metrics is None:
            await watches.serve()
            return
        with self._metrics.watch_stream(watches):
            await watches.serve()

    async def _health(self, stream: Stream[Any, Any]) -> None:
        _ = await stream.recv_message()
        await stream.send_message(_SERVING)

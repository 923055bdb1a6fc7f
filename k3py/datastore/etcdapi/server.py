"""Serves the RPCs: which there are, and how their documents become messages."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar, cast

from grpclib.const import Status
from grpclib.exceptions import GRPCError

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
from k3py.datastore.etcdapi.channel import MAX_RECEIVED_BYTES, decode_message, encode_message, load_messages
from k3py.datastore.etcdapi.conditions import condition
from k3py.datastore.etcdapi.grpc.server import ServerConnection, StreamMethod, UnaryMethod
from k3py.datastore.etcdapi.in_flight import InFlight
from k3py.datastore.etcdapi.listener import bind_tcp, private_socket
from k3py.datastore.etcdapi.store import Identity, Store
from k3py.datastore.etcdapi.watch import WatchStream
from k3py.util import clock
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from k3py.datastore.etcdapi.grpc.server import Method, ServerStream
    from k3py.datastore.etcdapi.listener import ListenAddress
    from k3py.datastore.etcdapi.metrics import FaceMetrics
    from k3py.datastore.interface import Backend
    from k3py.jsontypes import JsonObject

    Answer = Callable[[Store, JsonObject], Awaitable[JsonObject]]

PROGRESS_INTERVAL_S: Final = 5.0
STOP_S: Final = 5.0
"""How long a stop waits for the requests that are being answered."""

T = TypeVar("T")
R = TypeVar("R")

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
    connections: set[ServerConnection] = set()
    async with TaskScope() as calls:
        make = partial(ServerConnection, services.methods(), calls, connections, MAX_RECEIVED_BYTES)
        loop = asyncio.get_running_loop()
        if sock is not None:
            server = await loop.create_server(make, sock=sock, ssl=tls, backlog=1024)
        else:
            path = cast("Path", address.path)
            with private_socket(path):
                server = await loop.create_unix_server(make, str(path), ssl=tls)
        try:
            yield url
        finally:
            server.close()
            await services.in_flight.drain(stop_s)
            for connection in tuple(connections):
                connection.close()
            calls.cancel()
            await server.wait_closed()
            if address.path is not None:
                address.path.unlink(missing_ok=True)


def _url(address: ListenAddress, sock: socket.socket | None, tls: ssl.SSLContext | None) -> str:
    if sock is None:
        return f"unix{'s' if tls else ''}://{address.path}"
    host = address.host or "127.0.0.1"
    return f"http{'s' if tls else ''}://{f'[{host}]' if ':' in host else host}:{sock.getsockname()[1]}"


class DocumentStream:
    """A call with several requests or answers, as documents."""

    __slots__ = ("_request", "_response", "_stream")

    def __init__(self, stream: ServerStream, request: str, response: str) -> None:
        self._stream = stream
        self._request = request
        self._response = response

    async def recv_message(self) -> JsonObject | None:
        """Wait for a request; None: the client has sent its last one. Raises GRPCError."""
        message = await self._stream.receive()
        return None if message is None else decode_message(message, self._request)

    async def send_message(self, document: JsonObject) -> None:
        """Send an answer; wait while the client does not keep up."""
        await self._stream.send(encode_message(document, self._response))

    async def __aiter__(self) -> AsyncIterator[JsonObject]:
        """Give the requests."""
        while (request := await self.recv_message()) is not None:
            yield request


class _Services:
    """All services, by path."""

    def __init__(self, store: Store, progress_interval_s: float, metrics: FaceMetrics | None) -> None:
        self._store = store
        self._progress_interval_s = progress_interval_s
        self._metrics = metrics
        self.in_flight = InFlight()

    def methods(self) -> dict[bytes, Method]:
        """Return the method at each path."""
        messages = load_messages()
        found: dict[bytes, Method] = {
            b"/grpc.health.v1.Health/Check": UnaryMethod(self._health),
        }
        for name, answer in UNARY:
            method = messages.method(f"/etcdserverpb.{name}")
            serve = partial(self._unary, answer, method.request, method.response)
            found[method.path.encode()] = UnaryMethod(self._counted(name, serve))
        for service, name, reason in REFUSED:
            found[f"/etcdserverpb.{service}/{name}".encode()] = UnaryMethod(partial(self._refuse, reason))
        streams: tuple[tuple[str, Callable[[DocumentStream], Awaitable[None]]], ...] = (
            ("Watch/Watch", self._watch),
            ("Lease/LeaseKeepAlive", partial(lease.keep_alive, self._store)),
            ("Maintenance/Snapshot", self._snapshot),
        )
        for name, stream in streams:
            method = messages.method(f"/etcdserverpb.{name}")
            serve_stream = partial(self._stream, stream, method.request, method.response)
            found[method.path.encode()] = StreamMethod(self._counted(name, serve_stream))
        return found

    def _counted(self, name: str, serve: Callable[[T], Awaitable[R]]) -> Callable[[T], Awaitable[R]]:
        """Return `serve` with its calls counted in the metrics, if there are any."""
        metrics = self._metrics
        if metrics is None:
            return serve

        async def counted(argument: T) -> R:
            begun, code = clock.monotonic_s(), "Canceled"
            try:
                result = await serve(argument)
                code = "OK"
            except GRPCError as error:
                code = error.status.name.title().replace("_", "")
                raise
            finally:
                seconds = clock.monotonic_s() - begun if name in _UNARY_NAMES else None
                metrics.observe(name, code, seconds)
            return result

        return counted

    async def _unary(self, answer: Answer, request: str, response: str, message: bytes) -> bytes:
        document = decode_message(message, request)
        with self.in_flight.request():
            try:
                return encode_message(await answer(self._store, document), response)
            except (DatastoreError, ValueError) as error:
                raise condition(error) from None

    async def _stream(
        self,
        serve: Callable[[DocumentStream], Awaitable[None]],
        request: str,
        response: str,
        stream: ServerStream,
    ) -> None:
        await serve(DocumentStream(stream, request, response))

    async def _snapshot(self, stream: DocumentStream) -> None:
        with self.in_flight.request():
            await snapshot.serve(self._store, stream)

    async def _refuse(self, reason: str, _message: bytes) -> bytes:
        raise GRPCError(Status.UNIMPLEMENTED, f"etcdserver: {reason}")

    async def _watch(self, stream: DocumentStream) -> None:
        watches = WatchStream(self._store, stream, progress_interval_s=self._progress_interval_s)
        if self._metrics is None:
            await watches.serve()
            return
        with self._metrics.watch_stream(watches):
            await watches.serve()

    async def _health(self, _message: bytes) -> bytes:
        return _SERVING

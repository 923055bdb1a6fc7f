"""Serves the RPCs over HTTP/2: the datastore's door to grpclib's server."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.protocol import H2Protocol
from grpclib.server import Server
from h2.settings import SettingCodes

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
from k3py.datastore.etcdapi.channel import MessageCodec
from k3py.datastore.etcdapi.conditions import condition, refusal
from k3py.datastore.etcdapi.listener import bind_tcp, private_socket
from k3py.datastore.etcdapi.store import Identity, Store
from k3py.datastore.etcdapi.watch import WatchStream

if TYPE_CHECKING:
    import socket
    import ssl
    from asyncio import BaseTransport
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from grpclib.server import Stream

    from k3py.datastore.etcdapi.listener import ListenAddress
    from k3py.datastore.interface import Backend
    from k3py.jsontypes import JsonObject

    Answer = Callable[[Store, JsonObject], Awaitable[JsonObject]]

PROGRESS_INTERVAL_S: Final = 5.0
_NO_LIMIT: Final = (1 << 31) - 1
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
) -> AsyncIterator[str]:
    """Serve `backend` to etcd clients until the block is left; gives the URL that clients can use.

    Args:
        backend: an open store, which the caller closes afterwards.
        address: where to listen; port 0 is any free one.
        tls: a server context that offers "h2"; None: no TLS.
        identity: who this server says it is; None: k3py at that URL.
        progress_interval_s: how often a silent watch that asked for it is told how far it is, seconds.

    Raises:
        OSError: cannot listen there.
    """
    sock = bind_tcp(address) if address.path is None else None
    url = _url(address, sock, tls)
    services = _Services(Store(backend, identity or Identity(client_urls=(url,))), progress_interval_s)
    server = _Server(services)
    if address.path is not None:
        with private_socket(address.path):
            await server.start(path=str(address.path), ssl=tls)
    else:
        await server.start(sock=sock, ssl=tls, backlog=1024)
    try:
        yield url
    finally:
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
        self.connection.flush()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.connections.discard(self.transport)
        super().connection_lost(exc)


class _Server(Server):
    def __init__(self, services: _Services) -> None:
        super().__init__([services], codec=MessageCodec())
        self._connections: set[BaseTransport] = set()

    def _protocol_factory(self) -> H2Protocol:
        made = super()._protocol_factory()
        protocol = _Protocol(made.handler, made.config, made.h2_config)
        protocol.connections = self._connections
        return protocol

    def close(self) -> None:
        """Stop listening, cancel all calls, and close the connections, which grpclib leaves open: clients go elsewhere at once."""
        super().close()
        for transport in tuple(self._connections):
            transport.close()


class _Services:
    """All services, as grpclib wants them."""

    def __init__(self, store: Store, progress_interval_s: float) -> None:
        self._store = store
        self._progress_interval_s = progress_interval_s

    def __mapping__(self) -> Mapping[str, Handler]:
        """Return a handler for each path."""
        messages = MessageCodec.messages()
        handlers: dict[str, Handler] = {}
        for name, answer in UNARY:
            method = messages.method(f"/etcdserverpb.{name}")
            serve = partial(self._unary, answer)
            handlers[method.path] = Handler(serve, Cardinality.UNARY_UNARY, method.request, method.response)
        for service, name, reason in REFUSED:
            method = messages.method(f"/etcdserverpb.{service}/{name}")
            serve = partial(self._refuse, reason)
            handlers[method.path] = Handler(serve, Cardinality.UNARY_UNARY, method.request, method.response)
        for name, stream, cardinality in (
            ("Watch/Watch", self._watch, Cardinality.STREAM_STREAM),
            ("Lease/LeaseKeepAlive", partial(lease.keep_alive, self._store), Cardinality.STREAM_STREAM),
            ("Maintenance/Snapshot", partial(snapshot.serve, self._store), Cardinality.UNARY_STREAM),
        ):
            method = messages.method(f"/etcdserverpb.{name}")
            handlers[method.path] = Handler(stream, cardinality, method.request, method.response)
        handlers["/grpc.health.v1.Health/Check"] = Handler(self._health, Cardinality.UNARY_UNARY, "", "")
        return handlers

    async def _unary(self, answer: Answer, stream: Stream[JsonObject, JsonObject]) -> None:
        request = await stream.recv_message()
        if request is None:
            raise refusal("no request", Status.INVALID_ARGUMENT)
        try:
            response = await answer(self._store, request)
        except (DatastoreError, ValueError) as error:
            raise condition(error) from None
        await stream.send_message(response)

    async def _refuse(self, reason: str, stream: Stream[JsonObject, JsonObject]) -> None:
        raise GRPCError(Status.UNIMPLEMENTED, f"etcdserver: {reason}")

    async def _watch(self, stream: Stream[JsonObject, JsonObject]) -> None:
        await WatchStream(self._store, stream, progress_interval_s=self._progress_interval_s).serve()

    async def _health(self, stream: Stream[Any, Any]) -> None:
        _ = await stream.recv_message()
        await stream.send_message(_SERVING)

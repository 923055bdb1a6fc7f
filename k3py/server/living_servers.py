"""Which servers of a shared datastore are alive: each keeps a key alive there, and all keep the Service `kubernetes` at those that do.

`/registry/masterleases/<address>` holds an Endpoints object, as with kube-apiserver, bound to a lease of the datastore; its annotations say what a server that
joins, and `k3py secrets-encrypt status`, compare. Changes are watched, nothing is asked again and again; the only clock is that of renewing the own lease.
Source: kubernetes/pkg/controlplane/reconcilers/lease.go v1.35.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.object import deep_copy
from k3py.api.resource import ENDPOINT_SLICES, ENDPOINTS
from k3py.api.status import ApiError
from k3py.apiserver.kubernetes_service import make_endpoint_slice, make_endpoints
from k3py.client.presence import ensure_present
from k3py.datastore.errors import DatastoreError, LeaseNotFound
from k3py.datastore.interface import NO_LEASE, DeleteOp, PutOp
from k3py.util.supervise import Policy, TaskScope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from k3py.api.resource import Resource
    from k3py.client.interface import Client
    from k3py.datastore.interface import Backend, KeyValue, LeaseId, Watch
    from k3py.jsontypes import JsonObject
    from k3py.util.supervise import Component

log = logging.getLogger(__name__)

PREFIX: Final = b"/registry/masterleases/"
_END: Final = b"/registry/masterleases0"
_TTL_S: Final = 12
_RENEW_S: Final = 4.0
_SETTLE_S: Final = 0.5
_RELEASE_S: Final = 2.0
_NODE: Final = "k3py.io/node-name"
_ARGUMENTS: Final = "k3py.io/critical-arguments"
_KEYS: Final = "k3py.io/encryption-config-hash"


@dataclass(frozen=True, slots=True, kw_only=True)
class LivingServer:
    """A server: address and port of its API, name of its node, critical arguments, state and hash of the keys of Secrets ("" = none managed)."""

    address: str
    port: int
    node_name: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    keys_hash: str = ""

    @property
    def document(self) -> bytes:
        """Return it as it is stored."""
        endpoints = make_endpoints({self.port: (self.address,)})
        endpoints["metadata"]["annotations"] = {
            _NODE: self.node_name,
            _ARGUMENTS: orjson.dumps(dict(self.arguments)).decode(),
            _KEYS: self.keys_hash,
        }
        return orjson.dumps(endpoints)


def read_server(kv: KeyValue) -> LivingServer | None:
    """Read a stored one, None = it is none."""
    try:
        endpoints: JsonObject = orjson.loads(kv.value)
        subset = endpoints["subsets"][0]
        annotations = endpoints["metadata"].get("annotations") or {}
        return LivingServer(
            address=str(subset["addresses"][0]["ip"]),
            port=int(subset["ports"][0]["port"]),
            node_name=str(annotations.get(_NODE, "")),
            arguments=orjson.loads(annotations.get(_ARGUMENTS, "{}")),
            keys_hash=str(annotations.get(_KEYS, "")),
        )
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, ValueError, AttributeError):
        log.warning("no server's record", extra={"key": kv.key.decode(errors="replace")})
        return None


async def find_servers(backend: Backend) -> dict[str, LivingServer]:
    """Return the living servers by address. Raises Unavailable."""
    found = (read_server(one) for one in (await backend.range(PREFIX, _END)).kvs)
    return {one.address: one for one in found if one is not None}


class LivingServers:
    """A component: keeps this server known as alive, and the Service's endpoints right.

    Args:
        backend: the shared datastore.
        client: may write Endpoints and EndpointSlices.
        own: this server.
    """

    name = "living-servers"
    policy = Policy.RESTART

    def __init__(self, backend: Backend, client: Client, own: LivingServer) -> None:
        self._backend = backend
        self._client = client
        self._own = own
        self._lease: LeaseId = NO_LEASE
        self._known: dict[str, LivingServer] = {}
        self._changed = asyncio.Event()
        self._told = asyncio.Event()

    @property
    def servers(self) -> tuple[LivingServer, ...]:
        """All that are alive, this one first."""
        others = [one for address, one in sorted(self._known.items()) if address != self._own.address]
        return (self._own, *others)

    async def tell(self, keys_hash: str) -> None:
        """Let others know which keys of Secrets this server has now. Raises DatastoreError."""
        if keys_hash == self._own.keys_hash:
            return
        self._own = replace(self._own, keys_hash=keys_hash)
        if self._lease != NO_LEASE:
            await self._put()

    def keys_hashes(self) -> dict[str, str]:
        """Return the state and hash of the keys of Secrets by server, this one's first."""
        return {f"{one.node_name} ({one.address})": one.keys_hash for one in self.servers}

    async def move(self, address: str) -> None:
        """Be known under another address from now on. Raises DatastoreError."""
        before = self._own.address
        self._own = replace(self._own, address=address)
        if self._lease != NO_LEASE and address != before:
            await self._put()
            _ = await self._backend.txn((), (DeleteOp(PREFIX + before.encode()),))

    async def wait_changed(self) -> None:
        """Return when a server came, went or told something new since this was last called."""
        await self._told.wait()
        self._told.clear()

    async def run(self, started: Callable[[], None]) -> None:
        """Keep alive and follow, until cancelled; then leave at once."""
        await self._enter()
        try:
            found = await self._backend.range(PREFIX, _END)
            self._known = {
                one.address: one for one in (read_server(kv) for kv in found.kvs) if one is not None
            }
            await self._write_endpoints()
            started()
            async with self._backend.watch(PREFIX, _END, after=found.revision) as watch, TaskScope() as scope:
                _ = scope.spawn(self._keep_alive(), name="server-lease")
                _ = scope.spawn(self._keep_endpoints(), name="server-endpoints")
                await self._follow(watch)
        finally:
            await self._leave()

    async def _enter(self) -> None:
        self._lease = await self._backend.grant_lease(_TTL_S)
        await self._put()

    async def _put(self) -> None:
        key = PREFIX + self._own.address.encode()
        _ = await self._backend.txn((), (PutOp(key, self._own.document, lease=self._lease),))

    async def _leave(self) -> None:
        lease, self._lease = self._lease, NO_LEASE
        try:
            async with asyncio.timeout(_RELEASE_S):
                await self._backend.revoke_lease(lease)
        except (DatastoreError, TimeoutError) as error:
            log.info("the others will find out that this server has ended", extra={"error": str(error)})

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_S)
            try:
                await self._backend.keep_alive(self._lease)
            except LeaseNotFound:  # we were away for too long, and are back
                await self._enter()
            except DatastoreError as error:
                log.debug("cannot renew the server's lease", extra={"error": str(error)})

    async def _follow(self, watch: Watch) -> None:
        async for batch in watch:
            for event in batch.events:
                address = event.kv.key.removeprefix(PREFIX).decode(errors="replace")
                server = read_server(event.kv) if event.kv.value else None
                if server is None:
                    self._known.pop(address, None)
                else:
                    self._known[address] = server
            if batch.events:
                self._changed.set()
                self._told.set()

    async def _keep_endpoints(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(_SETTLE_S)  # one that restarts, or several at once, are one change
            self._changed.clear()
            try:
                await self._write_endpoints()
            except ApiError as error:
                log.warning("cannot write the servers' endpoints", extra={"error": error.message})
                self._changed.set()
                await asyncio.sleep(_RENEW_S)

    async def _write_endpoints(self) -> None:
        """Raises ApiError."""
        reachable = sorted(
            (one.address, one.port) for one in self.servers if _is_reachable(one.address, self._own.address)
        )
        if not reachable:  # A machine without a network: nobody could reach that, and the API refuses it.
            return
        by_port: dict[int, list[str]] = {}
        for address, port in reachable:
            by_port.setdefault(port, []).append(address)
        # A slice has one port for all its addresses: that of the first server. Servers have the same one, as a rule.
        port = reachable[0][1]
        await self._ensure(ENDPOINTS, make_endpoints(by_port), ("subsets",))
        await self._ensure(ENDPOINT_SLICES, make_endpoint_slice(by_port[port], port), ("endpoints", "ports"))

    async def _ensure(self, resource: Resource, wanted: JsonObject, fields: tuple[str, ...]) -> None:
        present = await ensure_present(self._client, resource, wanted)
        if all(present.get(name) == wanted[name] for name in fields):
            return
        new = deep_copy(present)
        new |= {name: wanted[name] for name in fields}
        try:
            await self._client.update(resource, new)
        except ApiError as race:
            if race.code != 409:
                raise
            self._changed.set()  # look again at what the other server wrote


def _is_reachable(address: str, own: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return not parsed.is_loopback and parsed.version == ipaddress.ip_address(own).version


if TYPE_CHECKING:

    def _check(one: LivingServers) -> Component:
        return one

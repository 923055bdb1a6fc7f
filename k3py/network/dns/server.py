"""DnsServer: answers pods over UDP and TCP, at the first address of the node's pod range.

That address is the bridge's, which comes with the first pod; the sockets are there before it (IP_FREEBIND). Queries come to the
cluster's DNS address and are led here by the service proxy.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from k3py.api.resource import CONFIG_MAPS, NODES
from k3py.network.dns.custom import CustomNames, read_custom
from k3py.network.dns.records import address_records, only
from k3py.network.dns.upstream import NoAnswer
from k3py.network.interface import node_ranges
from k3py.util.netaddr import first_host
from k3py.util.supervise import Component, Policy, TaskScope
from k3py.wire.dns import (
    CNAME,
    IN,
    NOTIMP,
    REFUSED,
    SERVFAIL,
    SOA,
    Answer,
    DnsError,
    Query,
    Record,
    build_error,
    build_response,
    parse_query,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.client.interface import InformerFactory
    from k3py.jsontypes import JsonObject
    from k3py.network.dns.records import ClusterRecords
    from k3py.network.dns.upstream import Upstream

_log = logging.getLogger(__name__)

CUSTOM_NAME: Final = "coredns-custom"
_NAMESPACE: Final = "kube-system"
_IP_FREEBIND: Final = 15
_PORT: Final = 53
_IDLE_S: Final = 10.0
_MOST_PENDING: Final = 1000


class DnsServer(Component):
    """Serves once the node has a range.

    Args:
        informers: of nodes, to learn the range.
        records: the cluster's names. upstream: for all others.
        address: serve here instead; port: 0 = any (tests).
    """

    def __init__(
        self,
        informers: InformerFactory,
        records: ClusterRecords,
        upstream: Upstream,
        *,
        node_name: str,
        address: str = "",
        port: int = _PORT,
    ) -> None:
        self._nodes = informers.informer(NODES)
        self._records = records
        self._upstream = upstream
        self._node_name = node_name
        self._address = address
        self.port = port
        self._wake = asyncio.Event()
        self._pending = 0
        self._nodes.add_handler(lambda _, __: self._wake.set())
        self._custom = CustomNames()
        custom = informers.informer(
            CONFIG_MAPS, namespace=_NAMESPACE, field_selector=f"metadata.name={CUSTOM_NAME}"
        )
        custom.add_handler(self._on_custom)

    @property
    def name(self) -> str:
        """Return "cluster-dns"."""
        return "cluster-dns"

    @property
    def policy(self) -> Policy:
        """Begin again; a port that is taken may become free."""
        return Policy.RESTART

    async def run(self, started: Callable[[], None]) -> None:
        """Serve until cancelled. Raises OSError when the address cannot be had."""
        await self._records.wait_synced()
        await self._nodes.wait_synced()
        started()
        addresses = [self._address] if self._address else await self._wait_addresses()
        async with TaskScope() as scope, AsyncExitStack() as stack:
            stack.callback(scope.cancel)
            for address in addresses:
                await self._serve(address, scope, stack)
                _log.info("serving names", extra={"address": address, "domain": self._records.domain})
            await asyncio.get_running_loop().create_future()

    async def _serve(self, address: str, scope: TaskScope, stack: AsyncExitStack) -> None:
        """Serve at an address until the stack is left."""
        stream = _bind(address, self.port, socket.SOCK_STREAM)
        self.port = stream.getsockname()[1]
        server = await asyncio.start_server(self._serve_stream, sock=stream)
        stack.callback(server.close)
        datagram = _bind(address, self.port, socket.SOCK_DGRAM)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Datagrams(self, scope), sock=datagram
        )
        stack.callback(transport.close)

    async def _wait_addresses(self) -> list[str]:
        """Return the node's own addresses in its ranges of pods: the bridge's."""
        while True:
            self._wake.clear()
            node = self._nodes.lister.find("", self._node_name)
            if ranges := node_ranges(node or {}):
                return [first_host(one) for one in ranges]
            await self._wake.wait()

    def _on_custom(self, _: JsonObject | None, new: JsonObject | None) -> None:
        """Take in what the operator wants to be different."""
        self._custom = read_custom((new or {}).get("data") or {})
        self._upstream.forget()
        for problem in self._custom.problems:
            _log.warning(
                "cannot be followed without CoreDNS", extra={"configmap": CUSTOM_NAME, "what": problem}
            )

    def _find(self, query: Query) -> Answer | None:
        """Answer from what is known here, None = others have to be asked."""
        lowered = query.name.lower()
        if own := self._custom.hosts.get(lowered):
            return only(address_records(query.name, own), query.type)
        found = self._records.find(query.name, query.type)
        if found is None and (node := self._nodes.lister.find("", lowered)) is not None:
            listed = (node.get("status") or {}).get("addresses") or ()
            addresses = [one["address"] for one in listed if one["type"] == "InternalIP"]
            return only(address_records(query.name, addresses), query.type) if addresses else None
        return found

    async def answer(self, data: bytes, *, stream: bool) -> bytes:
        """Return the response to a query, b"" for bytes that deserve none."""
        try:
            query = parse_query(data)
        except DnsError:
            return build_error(data, 1)
        if query.opcode:
            return build_response(query, Answer(NOTIMP), authoritative=False)
        found = self._find(query) if query.cls == IN else Answer(REFUSED)
        limit = 65535 if stream else query.max_bytes
        if found is not None:
            found = await self._follow(query, found)
            soa = Record(self._records.domain, SOA, 5, self._records.domain) if not found.records else None
            return build_response(query, found, authority=soa, limit=limit)
        try:
            servers = self._custom.servers_for(query.name.lower())
            return await self._upstream.ask(data, query, stream=stream, servers=servers)
        except NoAnswer:
            return build_response(query, Answer(SERVFAIL), authoritative=False)

    async def _follow(self, query: Query, found: Answer) -> Answer:
        """Add what an alias to a name of the cluster leads to; an alias to elsewhere is the client's to follow."""
        if query.type == CNAME or len(found.records) != 1 or found.records[0].type != CNAME:
            return found
        target = str(found.records[0].data)
        inner = self._records.find(target, query.type)
        return Answer(records=(*found.records, *inner.records)) if inner is not None else found

    async def answer_datagram(
        self, transport: asyncio.DatagramTransport, data: bytes, peer: tuple[str, int]
    ) -> None:
        """Answer one datagram; more than a thousand at once are dropped, and asked again by their clients."""
        if self._pending >= _MOST_PENDING:
            return
        self._pending += 1
        try:
            if response := await self.answer(data, stream=False):
                transport.sendto(response, peer)
        finally:
            self._pending -= 1

    async def _serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(_IDLE_S):
                    size = int.from_bytes(await reader.readexactly(2), "big")
                    data = await reader.readexactly(size)
                response = await self.answer(data, stream=True)
                writer.write(len(response).to_bytes(2, "big") + response)
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            _log.debug("a client's connection ended")
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer, scope: TaskScope) -> None:
        self._server = server
        self._scope = scope
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # a datagram endpoint's is one

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._transport is not None:
            work = self._server.answer_datagram(self._transport, data, addr)
            _ = self._scope.spawn(work, name="dns-query")


def _bind(address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, kind)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_IP, _IP_FREEBIND, 1)  # counts for IPv6, too
        made.bind((address, port))
    except BaseException:
        made.close()
        raise
    return made

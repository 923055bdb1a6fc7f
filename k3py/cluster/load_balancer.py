"""The agent's way to whichever API server answers: a TCP listener on loopback in front of the list of servers (J-57 to J-60).

Everything on the node that speaks with the API goes through it and sees one address for ever, TLS passes through untouched. A new
connection goes to the server that is used already, and to the next one when it cannot be reached. Nobody polls: a server is known to be
well by the agent's tunnel to it, and unwell when that ends or a connection fails; then its connections are closed, so that watches move.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import random
import socket
from contextlib import asynccontextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from k3py.cluster.server_list import split_address
from k3py.errors import ConfigError
from k3py.util.supervise import TaskScope
from k3py.util.upgrade import CHUNK_BYTES, splice

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from k3py.cluster.server_list import ServerList

_LOG: Final = logging.getLogger(__name__)
HOST: Final = "127.0.0.1"
DIAL_S: Final = 4.0
_SILENT_MS: Final = 20_000  # what was sent and is not acknowledged that long breaks the connection
_KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 3))

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _HasSocket(Protocol):
    def get_extra_info(self, name: str) -> Any: ...


class ServerHealth(IntEnum):
    """How much is thought of a server; the lesser the better."""

    GOOD = 0
    UNKNOWN = 1
    BAD = 2


class LoadBalancer:
    """Listens while `listening` is entered.

    Args:
        servers: where to go.
        port: to listen on; 0 = any, `port` tells which.
    """

    def __init__(self, servers: ServerList, *, port: int) -> None:
        self._servers = servers
        self.port = port
        self.fault = ""  # why the last connection led nowhere, "" = it did
        self._health: dict[str, ServerHealth] = {}
        self._rank: dict[str, float] = {}
        self._open: dict[str, set[asyncio.StreamWriter]] = {}
        self._on_bad: list[Callable[[str], None]] = []
        servers.on_change(self._take_list)

    @property
    def url(self) -> str:
        """Where the API is, for everything on this machine."""
        return f"https://{HOST}:{self.port}"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen until left; connections end with it.

        Raises:
            ConfigError: the port is taken.
        """
        async with TaskScope() as scope:

            def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                _ = scope.spawn(self._serve(reader, writer), name="api-connection")

            try:
                server = await asyncio.start_server(accept, HOST, self.port, limit=CHUNK_BYTES)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                raise ConfigError(
                    f"--lb-server-port={self.port}: {HOST}:{self.port} is in use by another program"
                ) from error
            self.port = server.sockets[0].getsockname()[1]
            try:
                yield
            finally:
                server.close()
                scope.cancel()

    def order(self) -> list[str]:
        """Return the servers in the order in which a new connection tries them.

        The order among equals is random and stays, so that agents spread over the servers; the address to join is the last of its kind.
        """
        listed = self._servers.learned
        return sorted(
            self._servers.addresses,
            key=lambda one: (
                self._health.get(one, ServerHealth.UNKNOWN),
                one not in listed,
                self._rank.setdefault(one, random.random()),  # noqa: S311 - no secret
            ),
        )

    def mark_good(self, address: str) -> None:
        """Note that a server is well; what went over the address to join while the others were unknown comes home."""
        self._health[address] = ServerHealth.GOOD
        if address in self._servers.learned and self._servers.join not in self._servers.learned:
            self._close(self._servers.join)

    def mark_bad(self, address: str) -> None:
        """Note that a server is not well: its connections are closed, new ones try it last."""
        if self._health.get(address) is not ServerHealth.BAD:
            self._health[address] = ServerHealth.BAD
            self._close(address)

    def close_all(self) -> None:
        """Close every connection: this machine's address is another one, and they lead nowhere."""
        for address in tuple(self._open):
            self._close(address)

    def on_bad(self, handler: Callable[[str], None]) -> None:
        """Call `handler(address)` when a server was found unwell by a connection that failed."""
        self._on_bad.append(handler)

    def _take_list(self) -> None:
        kept = self._servers.addresses
        for address in [one for one in self._open if one not in kept]:
            self._close(address)
        for known in (self._health, self._rank):
            for address in [one for one in known if one not in kept]:
                del known[address]

    def _close(self, address: str) -> None:
        for writer in tuple(self._open.get(address, ())):
            writer.transport.abort()

    async def _serve(self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter) -> None:
        address = ""
        try:
            address, (reader, writer) = await self._connect()
            self._open.setdefault(address, set()).add(client_writer)
            await splice(client_reader, client_writer, reader, writer)
        except OSError as error:
            _LOG.debug("a connection to the API ended", extra={"server": address, "why": str(error)})
        finally:
            client_writer.close()
            if address:
                self._forget(address, client_writer)

    def _forget(self, address: str, writer: asyncio.StreamWriter) -> None:
        writers = self._open[address]
        writers.discard(writer)
        if not writers:
            del self._open[address]

    async def _connect(self) -> tuple[str, Streams]:
        """Raises OSError: no server can be reached."""
        faults = []
        for address in self.order():
            host, port = split_address(address)
            try:
                async with asyncio.timeout(DIAL_S):
                    streams = await asyncio.open_connection(host, port, limit=CHUNK_BYTES)
            except OSError as error:
                faults.append(f"{address}: {str(error) or 'no answer'}")
                self.mark_bad(address)
                for handler in self._on_bad:
                    handler(address)
                continue
            if self._health.get(address) is ServerHealth.BAD:
                self._health[address] = ServerHealth.UNKNOWN
            watch_over(streams[1])
            self.fault = ""
            return address, streams
        self.fault = "; ".join(faults)
        raise ConnectionRefusedError(self.fault)


def watch_over(writer: _HasSocket) -> None:
    """Have the kernel break a connection whose other end is gone without a word."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENT_MS)

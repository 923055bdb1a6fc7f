"""Asks the node's own name servers for names outside of the cluster."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_TRY_S: Final = 2.0
_PORT: Final = 53


class NoAnswer(Exception):
    """No name server answered in time."""


class Upstream:
    """Forwards queries as they are, but for their id.

    Args:
        servers: returns the addresses of name servers now; those of a resolv.conf that may change.
    """

    def __init__(self, servers: Callable[[], Sequence[str]], *, port: int = _PORT) -> None:
        self._servers = servers
        self._port = port

    async def ask(self, query: bytes, *, stream: bool) -> bytes:
        """Return the answer of the first server that gives one; over TCP when `stream`, else UDP.

        Raises:
            NoAnswer: none did.
        """
        for server in self._servers():
            try:
                async with asyncio.timeout(_TRY_S):
                    return await (self._ask_tcp(server, query) if stream else self._ask_udp(server, query))
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                continue
        raise NoAnswer

    async def _ask_udp(self, server: str, query: bytes) -> bytes:
        number = secrets.token_bytes(2)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Waiter(number, answer), remote_addr=(server, self._port)
        )
        try:
            transport.sendto(number + query[2:])
            return query[:2] + (await answer)[2:]
        finally:
            transport.close()

    async def _ask_tcp(self, server: str, query: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(server, self._port)
        try:
            writer.write(len(query).to_bytes(2, "big") + query)
            await writer.drain()
            size = int.from_bytes(await reader.readexactly(2), "big")
            return await reader.readexactly(size)
        finally:
            writer.close()


class _Waiter(asyncio.DatagramProtocol):
    def __init__(self, number: bytes, answer: asyncio.Future[bytes]) -> None:
        self._number = number
        self._answer = answer

    def datagram_received(self, data: bytes, addr: object) -> None:
        if data[:2] == self._number and not self._answer.done():
            self._answer.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(error)

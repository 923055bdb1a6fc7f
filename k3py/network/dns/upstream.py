"""Asks name servers for names outside of the cluster: those of the node, or those of a stub domain; and remembers what they said.

known? ──yes──► answer from the cache
└─no──► first server: UDP ──cut off──► TCP        (the client's own way first: TCP where it came over TCP)
└─ silent, failing ──► next server …
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

from k3py.network.dns.cache import AnswerCache
from k3py.network.dns.custom import split_server
from k3py.wire.dns import REFUSED, SERVFAIL
from k3py.wire.dns_lifetime import cut, is_truncated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from k3py.wire.dns import Query

_TRY_S: Final = 2.0
_PORT: Final = 53
_RESPONSE: Final = 0x80


class NoAnswer(Exception):
    """No name server answered in time."""


class Upstream:
    """Forwards queries as they are, but for their id.

    Args:
        servers: returns the addresses of name servers now; those of a resolv.conf that may change.
        port: where they are asked if an address does not say.
    """

    def __init__(self, servers: Callable[[], Sequence[str]], *, port: int = _PORT) -> None:
        self._servers = servers
        self._port = port
        self._cache = AnswerCache()

    def forget(self) -> None:
        """Forget what was said: other servers may be asked from now on."""
        self._cache = AnswerCache()

    async def ask(self, data: bytes, query: Query, *, stream: bool, servers: Sequence[str] = ()) -> bytes:
        """Return the response to a query, as long as its client takes.

        Args:
            data: the query's bytes.
            query: what they say.
            stream: the client came over TCP.
            servers: ask these instead of the usual ones.

        Raises:
            NoAnswer: nobody answered.
        """
        found = self._cache.find(query)
        if found is None:
            found = await self._ask_servers(data, query, servers or self._servers(), stream=stream)
            self._cache.put(query, found)
        return found if stream or len(found) <= query.max_bytes else cut(found, query)

    async def _ask_servers(self, data: bytes, query: Query, servers: Sequence[str], *, stream: bool) -> bytes:
        failed = b""
        for server in servers:
            try:
                address, port = split_server(server, self._port)
                async with asyncio.timeout(_TRY_S):
                    found = await (
                        _ask_tcp(address, port, data, query)
                        if stream
                        else _ask_udp(address, port, data, query)
                    )
            except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
                continue
            if found[3] & 0xF not in (SERVFAIL, REFUSED):
                return await self._complete(address, port, data, query, found)
            failed = found
        if failed:
            return failed
        raise NoAnswer

    async def _complete(self, address: str, port: int, data: bytes, query: Query, found: bytes) -> bytes:
        """Ask again over TCP for a response that was cut off; the client may not be able to."""
        if not is_truncated(found):
            return found
        try:
            async with asyncio.timeout(_TRY_S):
                return await _ask_tcp(address, port, data, query)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return found


async def _ask_udp(address: str, port: int, data: bytes, query: Query) -> bytes:
    number = secrets.token_bytes(2)
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Waiter(number, query, answer), remote_addr=(address, port)
    )
    try:
        transport.sendto(number + data[2:])
        return data[:2] + (await answer)[2:]
    finally:
        transport.close()


async def _ask_tcp(address: str, port: int, data: bytes, query: Query) -> bytes:
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(len(data).to_bytes(2, "big") + data)
        await writer.drain()
        size = int.from_bytes(await reader.readexactly(2), "big")
        found = await reader.readexactly(size)
    finally:
        writer.close()
    if not _answers(found, data[:2], query):
        raise OSError("the response is to another question")
    return found


def _answers(found: bytes, number: bytes, query: Query) -> bool:
    """Say whether bytes are the response to this question; somebody may have guessed the number."""
    question = query.raw_question
    return (
        found[:2] == number
        and len(found) >= 12 + len(question)
        and bool(found[2] & _RESPONSE)
        and found[12 : 12 + len(question)].lower() == question.lower()
    )


class _Waiter(asyncio.DatagramProtocol):
    def __init__(self, number: bytes, query: Query, answer: asyncio.Future[bytes]) -> None:
        self._number = number
        self._query = query
        self._answer = answer

    def datagram_received(self, data: bytes, addr: object) -> None:
        if _answers(data, self._number, self._query) and not self._answer.done():
            self._answer.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(error)

"""Accepts connections, and does only so many TLS handshakes at once: a storm of them waits, and those who are in go on.

A handshake costs some milliseconds of processor and 75 kB until it is done; ten thousand at once would hold up every answer for half a
minute and fill a small machine's memory. Sockets that wait cost next to nothing; what does not even fit there waits in the kernel.
One address gets half of the places, so a client that never ends its handshakes does not keep others out.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

_LOG: Final = logging.getLogger(__name__)

MOST_AT_ONCE: Final = 64
MOST_OF_ONE: Final = 32
MOST_WAITING: Final = 2048
MOST_WAITING_OF_ONE: Final = 1024
HANDSHAKE_S: Final = 10.0
LONGEST_S: Final = 30.0
SHUTDOWN_S: Final = 5.0
_PAUSE_S: Final = 1.0
_EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class _Places:
    """The places of one address, and how many want one."""

    __slots__ = ("free", "users")

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(MOST_OF_ONE)
        self.users = 0


class Handshakes:
    """Accepts on a listening socket until cancelled.

    Args:
        listening: bound and listening.
        protocols: makes the protocol of a connection, once its handshake is done.
        tls: the server's settings.
    """

    def __init__(
        self, listening: socket.socket, protocols: Callable[[], asyncio.Protocol], tls: ssl.SSLContext
    ) -> None:
        self._listening = listening
        self._protocols = protocols
        self._tls = tls
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._by_address: dict[str, _Places] = {}
        self._waiting = 0

    async def run(self) -> None:
        """Accept until cancelled; what is in the middle of its handshake then is dropped."""
        loop = asyncio.get_running_loop()
        async with TaskScope() as scope:
            try:
                while True:
                    try:
                        client, address = await loop.sock_accept(self._listening)
                    except OSError as error:
                        if error.errno in _EXHAUSTED:
                            _LOG.warning("cannot accept connections for now", extra={"why": error.strerror})
                            await asyncio.sleep(_PAUSE_S)
                        continue  # else: the client went away before we came
                    key = str(address[0])
                    known = self._by_address.get(key)
                    of_one = known.users if known is not None else 0
                    if self._waiting >= MOST_WAITING or of_one >= MOST_WAITING_OF_ONE:
                        client.close()
                    else:
                        _ = scope.spawn(self._admit(client, key), name="handshake")
                    await asyncio.sleep(0)  # a full backlog must not keep others from their turn
            finally:
                scope.cancel()

    async def _admit(self, client: socket.socket, address: str) -> None:
        self._waiting += 1
        try:
            async with asyncio.timeout(LONGEST_S), self._place_of(address), self._places:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await asyncio.get_running_loop().connect_accepted_socket(
                    self._protocols,
                    client,
                    ssl=self._tls,
                    ssl_handshake_timeout=HANDSHAKE_S,
                    ssl_shutdown_timeout=SHUTDOWN_S,
                )
        except OSError as error:  # ssl.SSLError and TimeoutError are some
            client.close()
            _LOG.debug("a handshake failed", extra={"client": address, "why": str(error)})
        except BaseException:
            client.close()
            raise
        finally:
            self._waiting -= 1

    @asynccontextmanager
    async def _place_of(self, address: str) -> AsyncIterator[None]:
        places = self._by_address.setdefault(address, _Places())
        places.users += 1
        try:
            async with places.free:
                yield
        finally:
            places.users -= 1
            if not places.users:
                del self._by_address[address]

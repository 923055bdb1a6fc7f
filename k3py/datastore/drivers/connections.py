"""A few connections to a database server: opened when needed, given back, thrown away when they broke, with back-off while it is away.

asyncpg's and asyncmy's own pools reset each connection at a round trip's cost and know no back-off.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from k3py.datastore.errors import Closed, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

FIRST_PAUSE_S = 0.05
LAST_PAUSE_S = 2.0
IDLE_S = 60.0
MAX_CONNECTIONS = 8


class Refused(Unavailable):
    """The server answers, but does not let us in; the message says what to change."""


class UnknownDatabase(Unavailable):
    """The server has no such database."""


class Connection(Protocol):
    """One connection."""

    @property
    def is_usable(self) -> bool:
        """Say whether another statement can be sent: it is open and in no transaction of somebody who left."""

    def abort(self) -> None:
        """Close it at once."""


C = TypeVar("C", bound=Connection)


class Connections(Generic[C]):
    """At most `limit` connections.

    While the server cannot be reached, takers get Unavailable at once; one of them tries again when the pause, which doubles, is over.
    """

    def __init__(self, connect: Callable[[], Awaitable[C]], *, limit: int = MAX_CONNECTIONS) -> None:
        self._connect = connect
        self._places = asyncio.Semaphore(limit)
        self._idle: list[tuple[float, C]] = []
        self._pause_s = 0.0
        self._not_before = 0.0
        self._failure = ""
        self._is_closed = False

    @asynccontextmanager
    async def take(self) -> AsyncIterator[C]:
        """Use a connection; it is thrown away if the block leaves it unusable."""
        async with self._places:
            connection = self._pop_idle() or await self._open()
            try:
                yield connection
            finally:
                if self._is_closed or not connection.is_usable:
                    connection.abort()
                else:
                    self._idle.append((asyncio.get_running_loop().time(), connection))

    def _pop_idle(self) -> C | None:
        """Return the connection that was used last; close those that nobody needed for a while."""
        old = asyncio.get_running_loop().time() - IDLE_S
        while len(self._idle) > 1 and self._idle[0][0] < old:
            self._idle.pop(0)[1].abort()
        while self._idle:
            _, connection = self._idle.pop()
            if connection.is_usable:
                return connection
            connection.abort()
        return None

    async def _open(self) -> C:
        now = asyncio.get_running_loop().time()
        if self._is_closed:
            raise Closed
        if now < self._not_before:
            raise Unavailable(self._failure)
        # Others who come while this one tries are refused at once.
        self._pause_s = min(LAST_PAUSE_S, max(FIRST_PAUSE_S, self._pause_s * 2))
        if self._failure:
            self._not_before = now + self._pause_s
        try:
            connection = await self._connect()
        except Unavailable as error:
            self._failure = str(error)
            self._not_before = asyncio.get_running_loop().time() + self._pause_s
            raise
        self._pause_s, self._not_before, self._failure = 0.0, 0.0, ""
        return connection

    def close(self) -> None:
        """Close the idle connections now and the others when they are given back."""
        self._is_closed = True
        while self._idle:
            self._idle.pop()[1].abort()

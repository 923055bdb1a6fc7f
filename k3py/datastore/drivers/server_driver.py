"""What the drivers of PostgreSQL and MySQL share: how the store is opened, and which connection a commit takes."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from k3py.datastore.drivers.connections import Connection, Connections, Refused
from k3py.datastore.mvcc.shared_backend import open_shared_mvcc
from k3py.datastore.mvcc.shared_log import Overtaken
from k3py.datastore.sql import server_statements
from k3py.datastore.sql.server_log import NOT_ATTEMPTED, ServerLog, Session
from k3py.datastore.sql.server_statements import Statement
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from k3py.datastore.mvcc.log import Commit
    from k3py.datastore.mvcc.shared_backend import SharedMvccBackend
    from k3py.datastore.mvcc.shared_log import SharedLog
    from k3py.datastore.sql.server_statements import Dialect


class OwnSession(Session, Connection, Protocol):
    """A connection of a driver."""


S = TypeVar("S", bound=OwnSession)
S_co = TypeVar("S_co", bound=OwnSession, covariant=True)


class Server(Protocol[S_co]):
    """How a driver connects."""

    async def connect(self) -> S_co:
        """Open a connection for reads."""

    async def prepare(self) -> None:
        """Make the database if it is missing."""


class DriverLog(ServerLog, Generic[S]):
    """A `ServerLog` with connections; a driver adds `locked`, `append_with`, `append_locked`, `follow`, `size` and `defragment`."""

    def __init__(self, dialect: Dialect, connections: Connections[S], writers: Connections[S]) -> None:
        super().__init__(dialect)
        self._connections = connections
        self._writers = writers
        self._locked: S | None = None

    def close(self) -> None:
        """Close the writer's connection."""
        self._writers.close()

    def reading(self) -> AbstractAsyncContextManager[S]:
        """See `ServerLog`."""
        return self._connections.take()

    async def append(self, commit: Commit) -> None:
        """See `SharedLog`."""
        self._attempted_serial = NOT_ATTEMPTED
        if self._locked is not None:
            await self.append_locked(self._locked, commit)
        elif commit.is_empty:
            ((serial,),) = await self._fetch(Statement(server_statements.SERIAL))
            if serial != self.serial:
                raise Overtaken("another server committed")
        else:
            async with self._writers.take() as session:
                await self.append_with(session, commit)
        self._committed(commit)

    async def append_with(self, session: S, commit: Commit) -> None:
        """Commit something as a transaction of its own."""
        raise NotImplementedError

    async def append_locked(self, session: S, commit: Commit) -> None:
        """Commit something, or nothing, as the end of the transaction that holds the lock."""
        raise NotImplementedError


@asynccontextmanager
async def open_server(
    server: Server[S],
    inspect: Callable[[S], Awaitable[str]],
    make: Callable[[Connections[S]], tuple[DriverLog[S], SharedLog]],
    *,
    driver: str,
    history_s: float | None,
) -> AsyncIterator[SharedMvccBackend]:
    """Open the store in a database, making both if they do not exist; `history_s` as in `open_mvcc`.

    Args:
        server: where the database is.
        inspect: refuses what is not fit, brings the tables up to date, returns the database's identity.
        make: makes the log.
        driver: its name.
        history_s: as in `open_mvcc`.

    Raises:
        ConfigError: the server refuses us, or is set so that data would be lost; says what to change.
        Unavailable: it cannot be reached.
    """
    async with AsyncExitStack() as stack:
        connections = Connections(server.connect)
        stack.callback(connections.close)
        try:
            await server.prepare()
        except Refused as error:
            raise ConfigError(str(error)) from None
        async with connections.take() as session:
            origin = await inspect(session)
        rows, shared = make(connections)
        stack.callback(rows.close)
        await rows.check_origin(origin)
        yield await stack.enter_async_context(open_shared_mvcc(shared, driver=driver, history_s=history_s))

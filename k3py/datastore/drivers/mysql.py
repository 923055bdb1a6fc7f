"""`mysql://`: the log in a MariaDB or MySQL database that several servers may share.

A group commit is one packet of several statements, hence one round trip: the first takes the lock on the row of `k3py_meta`, and
fails, which ends the packet, if somebody committed meanwhile. Values go as hexadecimal literals: nothing needs escaping, whatever the
server's sql_mode. There is no LISTEN: `mysql_bell` wakes the others, and one row is polled, ever more rarely while nothing happens.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from k3py.datastore.drivers.connections import Connections
from k3py.datastore.drivers.mysql_bell import Bell
from k3py.datastore.drivers.mysql_server import Server, Session, check_server, literal, migrate, read_origin
from k3py.datastore.drivers.server_driver import DriverLog, open_server
from k3py.datastore.errors import DatastoreError, Unavailable
from k3py.datastore.mvcc.log import LogSize
from k3py.datastore.sql import server_statements
from k3py.datastore.sql.rows import log_rows
from k3py.datastore.sql.server_log import newest_rows
from k3py.datastore.sql.server_statements import Statement
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from k3py.datastore.endpoint import DatabaseEndpoint
    from k3py.datastore.mvcc.log import Commit
    from k3py.datastore.mvcc.shared_backend import SharedMvccBackend
    from k3py.datastore.mvcc.shared_log import SharedLog, SharedState
    from k3py.datastore.sql.server_statements import Value

log = logging.getLogger(__name__)

LOCK_HELD_S = 5
DEFRAGMENT_S = 3600.0

FIRST_POLL_S = 0.005
LAST_POLL_S = 1.0
POLL_GROWTH = 1.25
LISTEN_TO = 8
"""So many other servers are listened to; further ones are found by the poll."""

RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


def open_mysql(
    endpoint: DatabaseEndpoint, *, history_s: float | None
) -> AbstractAsyncContextManager[SharedMvccBackend]:
    """Open the store in a database; see `open_server`."""
    server = Server(endpoint)

    async def inspect(session: Session) -> str:
        await check_server(session, endpoint)
        await migrate(session)
        return await read_origin(session)

    def make(connections: Connections[Session]) -> tuple[MysqlLog, SharedLog]:
        rows = MysqlLog(connections, server)
        return rows, rows

    return open_server(server, inspect, make, driver="mysql", history_s=history_s)


class MysqlLog(DriverLog[Session]):
    """See `SharedLog`."""

    leases_statement = "SELECT id, ttl_s, UNIX_TIMESTAMP(NOW(6)) + 0e0 - granted_at_s FROM k3py_lease"

    def __init__(self, connections: Connections[Session], server: Server) -> None:
        super().__init__(server_statements.MYSQL, connections, Connections(server.connect_writer, limit=1))
        self._written = asyncio.Event()
        self._bell = Bell(server, self.writer_id)
        self._writers_met = 0
        self._heard: set[int] = set()

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[SharedState]:
        """See `SharedLog`."""
        async with self._writers.take() as session:
            # A server that stops while it holds the lock must not stop the others: its session ends soon.
            await session.run(f"SET SESSION wait_timeout = {LOCK_HELD_S}")
            await session.run("START TRANSACTION")
            try:
                state = await self._refresh(session, server_statements.STATE + " FOR UPDATE")
                self._locked = session
                yield state
            finally:
                self._locked = None
                with suppress(DatastoreError):
                    if session.in_transaction and session.is_open:
                        await session.run("ROLLBACK")
                    if session.is_usable:
                        await session.run("SET SESSION wait_timeout = DEFAULT")

    async def append_locked(self, session: Session, commit: Commit) -> None:
        """See `DriverLog`."""
        if not commit.is_empty:
            await self._append(session, (), commit)

    async def append_with(self, session: Session, commit: Commit) -> None:
        """See `DriverLog`."""
        await self._append(session, ("START TRANSACTION",), commit)

    async def _append(self, session: Session, begin: Sequence[str], commit: Commit) -> None:
        self._attempted_serial = self.serial + 1
        try:
            await session.run(*begin, *self._commit_statements(commit), "COMMIT")
        except BaseException as error:
            self._cache.clear()
            if isinstance(error, DatastoreError) and session.is_open:
                with suppress(DatastoreError):
                    await session.run("ROLLBACK")
            raise
        self._written.set()
        self._bell.ring()

    def _commit_statements(self, commit: Commit) -> Iterator[str]:
        revision = str(commit.events[-1].kv.mod_revision) if commit.events else "revision"
        leases = int(bool(commit.grants or commit.revokes))
        yield (
            f"UPDATE k3py_meta SET serial = IF(serial = {self.serial}, serial + 1, NULL), revision = {revision}, "
            f"lease_serial = lease_serial + {leases}"
        )
        yield (
            f"INSERT INTO k3py_writer VALUES ({self.writer_id}, {self.serial + 1}) ON DUPLICATE KEY UPDATE serial = VALUES(serial)"
        )
        if commit.events:
            yield f"INSERT INTO k3py_log VALUES {_tuples(log_rows(commit.events))}"
            written, deleted = newest_rows(commit)
            if written:
                yield (
                    f"INSERT INTO k3py_cur VALUES {_tuples(written)} ON DUPLICATE KEY UPDATE id = VALUES(id), created = VALUES(created), "
                    "version = VALUES(version), lease = VALUES(lease)"
                )
            if deleted:
                yield f"DELETE FROM k3py_cur WHERE name IN ({','.join(map(literal, deleted))})"
        if commit.grants:
            rows = ",".join(
                f"({lease.id},{lease.ttl_s},UNIX_TIMESTAMP(NOW(6)) + 0e0)" for lease in commit.grants
            )
            yield (
                f"INSERT INTO k3py_lease VALUES {rows} ON DUPLICATE KEY UPDATE granted_at_s = VALUES(granted_at_s)"
            )
        if commit.revokes:
            yield f"DELETE FROM k3py_lease WHERE id IN ({','.join(map(str, commit.revokes))})"

    async def size(self) -> LogSize:
        """See `Log`."""
        ((total, free),) = await self._fetch(
            Statement(
                "SELECT CAST(SUM(data_length + index_length + data_free) AS SIGNED), CAST(SUM(data_free) AS SIGNED) "
                "FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name LIKE 'k3py\\_%'"
            )
        )
        return LogSize(total, total - free)

    async def defragment(self, budget_s: float) -> bool:
        """See `Log`: InnoDB rebuilds the tables while they are in use."""
        async with self.reading() as session:
            for table in ("k3py_cur", "k3py_log"):
                for row in await session.run(f"OPTIMIZE TABLE {table}", timeout_s=DEFRAGMENT_S):
                    if str(row[2]).lower() == "error":
                        raise Unavailable(f"the database cannot rebuild {table}: {row[3]}")
            # A rebuilt table has another time of creation, by which `check_origin` would take it for a restored one.
            origin = await read_origin(session)
            await session.fetch(Statement(server_statements.SET_ORIGIN, (origin,)))
        return False

    async def follow(self, changed: Callable[[], None]) -> None:
        """See `SharedLog`."""
        async with TaskScope() as scope:
            _ = scope.spawn(self._bell.run(), name="datastore-bell-mysql")
            await self._poll(changed, scope)

    async def _poll(self, changed: Callable[[], None], scope: TaskScope) -> None:
        pause_s, failures = FIRST_POLL_S, 0
        while True:
            try:
                ((serial, writers),) = await self._fetch(Statement(server_statements.SERIAL_AND_WRITERS))
                if writers != self._writers_met:
                    await self._meet(changed, scope)
                    self._writers_met = writers
            except DatastoreError as error:
                if not failures:
                    log.warning("cannot look for changes, trying again", extra={"error": str(error)})
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1
                continue
            failures = 0
            if serial > self.serial:
                changed()
                pause_s = FIRST_POLL_S
            pause_s = await self._sleep(pause_s)

    async def _meet(self, changed: Callable[[], None], scope: TaskScope) -> None:
        """Listen to the bells of servers that have come since the last time."""
        newest = Statement(server_statements.NEWEST_WRITERS, (self.writer_id, LISTEN_TO))
        for (other,) in await self._fetch(newest):
            if other not in self._heard:
                self._heard.add(other)
                _ = scope.spawn(self._listen(other, changed), name=f"datastore-ear-{other}")

    async def _listen(self, other: int, changed: Callable[[], None]) -> None:
        def heard() -> None:
            changed()
            self._written.set()  # there is more to come: look often for a while

        try:
            await self._bell.listen(other, heard)
        finally:
            self._heard.discard(other)

    async def _sleep(self, pause_s: float) -> float:
        """Wait; return how long to wait the next time: short again when we wrote meanwhile, as others answer to that."""
        try:
            async with asyncio.timeout(pause_s):
                await self._written.wait()
        except TimeoutError:
            return min(LAST_POLL_S, pause_s * POLL_GROWTH)
        self._written.clear()
        await asyncio.sleep(FIRST_POLL_S)
        return FIRST_POLL_S


def _tuples(rows: Iterable[Sequence[Value]]) -> str:
    return ",".join(f"({','.join(map(literal, row))})" for row in rows)


if TYPE_CHECKING:

    def _is_log(log: MysqlLog) -> SharedLog:
        return log

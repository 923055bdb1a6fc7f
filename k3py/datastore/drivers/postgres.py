"""`postgres://`: the log in a PostgreSQL database that several servers may share.

A group commit is one statement, hence one round trip: it takes the lock on the row of `k3py_meta` if nobody committed meanwhile,
writes all rows and notifies. Other servers LISTEN; a probe every few seconds finds connections that died silently.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from k3py.datastore.drivers.connections import Connections
from k3py.datastore.drivers.postgres_server import Server, Session, check_server, migrate, read_origin
from k3py.datastore.drivers.server_driver import DriverLog, open_server
from k3py.datastore.errors import DatastoreError
from k3py.datastore.mvcc.log import LogSize
from k3py.datastore.mvcc.shared_log import Overtaken
from k3py.datastore.sql import server_statements
from k3py.datastore.sql.rows import log_rows
from k3py.datastore.sql.server_log import newest_rows
from k3py.datastore.sql.server_statements import Statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from k3py.datastore.endpoint import DatabaseEndpoint
    from k3py.datastore.mvcc.log import Commit
    from k3py.datastore.mvcc.shared_backend import SharedMvccBackend
    from k3py.datastore.mvcc.shared_log import SharedLog, SharedState

log = logging.getLogger(__name__)

CHANNEL = "k3py"
PROBE_S = 10.0
DEFRAGMENT_S = 3600.0
TABLES = ("k3py_log", "k3py_cur", "k3py_lease", "k3py_meta", "k3py_writer")
RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

_COMMIT = f"""
WITH m AS (
  UPDATE k3py_meta SET serial = serial + 1, revision = coalesce($2, revision), lease_serial = lease_serial + $3 WHERE serial = $1 RETURNING serial
), l AS (
  INSERT INTO k3py_log SELECT u.* FROM m, unnest($4::bigint[], $5::bytea[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::bytea[]) AS u
), c AS (
  INSERT INTO k3py_cur SELECT u.* FROM m, unnest($11::bytea[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[]) AS u
  ON CONFLICT (name) DO UPDATE SET id = excluded.id, created = excluded.created, version = excluded.version, lease = excluded.lease
), d AS (
  DELETE FROM k3py_cur USING m WHERE name = ANY($16::bytea[])
), g AS (
  INSERT INTO k3py_lease SELECT u.id, u.ttl_s, extract(epoch FROM clock_timestamp())
  FROM m, unnest($17::bigint[], $18::bigint[]) AS u (id, ttl_s)
  ON CONFLICT (id) DO UPDATE SET granted_at_s = excluded.granted_at_s
), r AS (
  DELETE FROM k3py_lease USING m WHERE id = ANY($19::bigint[])
), w AS (
  INSERT INTO k3py_writer SELECT $20::bigint, serial FROM m ON CONFLICT (id) DO UPDATE SET serial = excluded.serial
)
SELECT serial, pg_notify('{CHANNEL}', serial || ' ' || $20::bigint) FROM m
"""


def open_postgres(
    endpoint: DatabaseEndpoint, *, history_s: float | None
) -> AbstractAsyncContextManager[SharedMvccBackend]:
    """Open the store in a database; see `open_server`."""
    server = Server(endpoint)

    async def inspect(session: Session) -> str:
        await check_server(session, endpoint)
        await migrate(session)
        return await read_origin(session)

    def make(connections: Connections[Session]) -> tuple[PostgresLog, SharedLog]:
        rows = PostgresLog(connections, server)
        return rows, rows

    return open_server(server, inspect, make, driver="postgres", history_s=history_s)


class PostgresLog(DriverLog[Session]):
    """See `SharedLog`."""

    leases_statement = (
        "SELECT id, ttl_s, extract(epoch FROM clock_timestamp())::float8 - granted_at_s FROM k3py_lease"
    )

    def __init__(self, connections: Connections[Session], server: Server) -> None:
        super().__init__(server_statements.POSTGRES, connections, Connections(server.connect, limit=1))
        self._server = server

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[SharedState]:
        """See `SharedLog`."""
        async with self._writers.take() as session:
            await session.fetch(Statement("BEGIN"))
            try:
                state = await self._refresh(session, server_statements.STATE + " FOR UPDATE")
                self._locked = session
                yield state
            finally:
                self._locked = None
                if session.is_open and not session.is_usable:
                    with suppress(DatastoreError):
                        await session.fetch(Statement("ROLLBACK"))

    async def append_locked(self, session: Session, commit: Commit) -> None:
        """See `DriverLog`."""
        if not commit.is_empty:
            await self.append_with(session, commit)
        try:
            await session.fetch(Statement("COMMIT"))
        except BaseException:
            self._cache.clear()
            raise

    async def append_with(self, session: Session, commit: Commit) -> None:
        """See `DriverLog`."""
        written, deleted = newest_rows(commit)
        self._attempted_serial = self.serial + 1
        parameters = (
            self.serial,
            commit.events[-1].kv.mod_revision if commit.events else None,
            int(bool(commit.grants or commit.revokes)),
            *_columns(log_rows(commit.events), 7),
            *_columns(written, 5),
            deleted,
            [lease.id for lease in commit.grants],
            [lease.ttl_s for lease in commit.grants],
            list(commit.revokes),
            self.writer_id,
        )
        try:
            rows = await session.fetch_numbered(_COMMIT, parameters)
        except BaseException:
            self._cache.clear()
            raise
        if not rows:
            raise Overtaken("another server committed")

    async def size(self) -> LogSize:
        """See `Log`."""
        ((total,),) = await self._fetch(
            Statement(
                f"SELECT sum(pg_total_relation_size(c))::bigint FROM unnest('{{{','.join(TABLES)}}}'::regclass[]) AS c"
            )
        )
        return LogSize(total, total)

    async def defragment(self, budget_s: float) -> bool:
        """See `Log`: rewrites the tables, smallest first; each is locked as long as that takes."""
        async with self.reading() as session:
            for table in TABLES[::-1]:
                await session.fetch_numbered(f"VACUUM (FULL, ANALYZE) {table}", (), timeout_s=DEFRAGMENT_S)
        return False

    async def follow(self, changed: Callable[[], None]) -> None:
        """See `SharedLog`."""
        own = str(self.writer_id)

        def take(_connection: object, _process: int, _channel: str, payload: str) -> None:
            if payload.partition(" ")[2] != own:
                changed()

        failures = 0
        while True:
            try:
                session = await self._server.connect()
            except DatastoreError as error:
                if not failures:
                    log.warning("cannot listen for changes, trying again", extra={"error": str(error)})
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1
                continue
            try:
                await session.listen(CHANNEL, take)
                failures = 0
                while True:
                    ((serial,),) = await session.fetch(Statement(server_statements.SERIAL))
                    if serial != self.serial:
                        changed()
                    await session.closed_within(PROBE_S)
            except DatastoreError as error:
                log.warning("the connection that listens for changes was lost", extra={"error": str(error)})
            finally:
                session.abort()


def _columns(rows: Sequence[tuple[object, ...]], count: int) -> list[list[object]]:
    return [[row[at] for row in rows] for at in range(count)]


if TYPE_CHECKING:

    def _is_log(log: PostgresLog) -> SharedLog:
        return log

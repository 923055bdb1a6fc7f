"""`postgres://`: the log in a PostgreSQL database that several servers may share; the only door to asyncpg.

A group commit is one statement, hence one round trip: it takes the lock on the row of `k3py_meta` if nobody committed meanwhile,
writes all rows and notifies. Other servers LISTEN; a probe every few seconds finds connections that died silently.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING

import asyncpg

from k3py.datastore.drivers.connections import Connections, Refused, UnknownDatabase
from k3py.datastore.errors import DatastoreError, NoSpace, Unavailable
from k3py.datastore.mvcc.log import LogSize
from k3py.datastore.mvcc.shared_backend import open_shared_mvcc
from k3py.datastore.mvcc.shared_log import OutcomeUnknown, Overtaken
from k3py.datastore.sql import migrations, server_statements
from k3py.datastore.sql.server_log import ServerLog, log_rows, newest_rows
from k3py.datastore.sql.server_statements import Statement
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from k3py.datastore.endpoint import DatabaseEndpoint
    from k3py.datastore.mvcc.log import Commit
    from k3py.datastore.mvcc.shared_backend import SharedMvccBackend
    from k3py.datastore.mvcc.shared_log import SharedLog, SharedState
    from k3py.datastore.sql.server_statements import Row

log = logging.getLogger(__name__)

CHANNEL = "k3py"
OLDEST = 120000
CONNECT_S = 5.0
ANSWER_S = 10.0
"""A server that does not answer a statement for so long is taken for gone."""

PROBE_S = 10.0
RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
SCHEMA_LOCK = 0x6B337079

SETTINGS = {
    "application_name": "k3py",
    "default_transaction_isolation": "read committed",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "5s",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

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


@asynccontextmanager
async def open_postgres(
    endpoint: DatabaseEndpoint, *, history_s: float | None
) -> AsyncIterator[SharedMvccBackend]:
    """Open the store in a database, making both if they do not exist; `history_s` as in `open_mvcc`.

    Raises:
        ConfigError: the server refuses us, or is set so that data would be lost; says what to change.
        Unavailable: it cannot be reached.
    """
    server = _Server(endpoint)
    async with AsyncExitStack() as stack:
        connections = Connections(server.connect)
        stack.callback(connections.close)
        try:
            await server.prepare()
        except Refused as error:
            raise ConfigError(str(error)) from None
        async with connections.take() as session:
            await _check(session, endpoint)
            await _migrate(session)
            origin = await _read_origin(session)
        rows = PostgresLog(connections, server)
        stack.callback(rows.close)
        await rows.check_origin(origin)
        yield await stack.enter_async_context(open_shared_mvcc(rows, driver="postgres", history_s=history_s))


class _Session:
    """A connection; see `server_log.Session`."""

    __slots__ = ("connection", "endpoint")

    def __init__(self, connection: asyncpg.Connection, endpoint: DatabaseEndpoint) -> None:
        self.connection = connection
        self.endpoint = endpoint

    async def fetch(self, statement: Statement) -> Sequence[Row]:
        return await self.fetch_numbered(_numbered(statement.sql), statement.parameters)

    async def fetch_numbered(self, sql: str, parameters: Sequence[object]) -> Sequence[Row]:
        """Run a statement whose placeholders are $1, $2, …."""
        with _translated(self):
            async with asyncio.timeout(ANSWER_S):
                rows: Sequence[Row] = await self.connection.fetch(sql, *parameters)
        return rows

    async def run_script(self, sql: str) -> None:
        """Run several statements without parameters."""
        with _translated(self):
            async with asyncio.timeout(ANSWER_S * 6):
                await self.connection.execute(sql)

    @property
    def is_usable(self) -> bool:
        return not self.connection.is_closed() and not self.connection.is_in_transaction()

    def abort(self) -> None:
        self.connection.terminate()


@lru_cache(maxsize=256)
def _numbered(sql: str) -> str:
    first, *others = sql.split("?")
    return first + "".join(f"${number}{part}" for number, part in enumerate(others, start=1))


@contextmanager
def _translated(session: _Session) -> Iterator[None]:
    """Turn asyncpg's errors into conditions; a connection that may have lost its place in the protocol is closed."""
    place = session.endpoint
    try:
        yield
    except asyncpg.DiskFullError as error:
        raise NoSpace(f"no space left for the database {place}") from error
    except (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError) as error:
        session.abort()
        raise OutcomeUnknown(f"the connection to the database {place} was lost: {error}") from error
    except asyncpg.PostgresError as error:
        raise Unavailable(
            f"the database {place} cannot do that now ({type(error).__name__} {error.sqlstate}: {error})"
        ) from error
    except TimeoutError as error:
        session.abort()
        raise OutcomeUnknown(f"the database {place} does not answer") from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        session.abort()
        raise OutcomeUnknown(f"the connection to the database {place} was lost: {error}") from error
    except BaseException:
        session.abort()
        raise


class _Server:
    """How to connect."""

    def __init__(self, endpoint: DatabaseEndpoint) -> None:
        self.endpoint = endpoint
        self._context = endpoint.ssl_context()

    async def connect(self, database: str | None = None) -> _Session:
        """Open a connection.

        Raises:
            ConfigError: the server refuses it; says what to change.
            Unavailable: no server there, or not ready.
        """
        place = self.endpoint
        try:
            connection = await asyncpg.connect(
                host=place.socket or place.host,
                port=place.port,
                user=place.user,
                password=place.password,
                database=database or place.database,
                ssl=self._context or place.ssl_mode,
                timeout=CONNECT_S,
                server_settings=SETTINGS,
            )
        except asyncpg.InvalidCatalogNameError:
            raise UnknownDatabase(f"the database {place} does not exist") from None
        except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
            raise Refused(
                f"datastore-endpoint: {place} refuses user {place.user!r} ({error}): check the user and the password, and pg_hba.conf"
            ) from None
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            reason = str(error) or type(error).__name__
            raise Unavailable(
                f"cannot connect to the database {place} ({reason}): check that the server runs and that datastore-endpoint names it"
            ) from None
        session = _Session(connection, place)
        try:
            # An administrator may have turned durability off for everybody, or raised it: only "off" is not enough.
            await session.fetch(
                Statement(
                    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
                )
            )
        except BaseException:
            session.abort()
            raise
        return session

    async def prepare(self) -> None:
        """Make the database if it is missing."""
        place = self.endpoint
        try:
            session = await self.connect()
        except UnknownDatabase:
            session = await self._connect_to_postgres()
            try:
                await session.connection.execute(
                    f'CREATE DATABASE "{place.database}" TEMPLATE template0 ENCODING UTF8'
                )
            except asyncpg.DuplicateDatabaseError:
                pass
            except asyncpg.UniqueViolationError:
                pass  # another server makes it in this moment
            except asyncpg.PostgresError as error:
                raise ConfigError(
                    f"datastore-endpoint: the database {place} does not exist and user {place.user!r} cannot make it ({error}): "
                    f'make it with CREATE DATABASE "{place.database}" OWNER "{place.user}"'
                ) from None
            finally:
                session.abort()
        else:
            session.abort()

    async def _connect_to_postgres(self) -> _Session:
        try:
            return await self.connect("postgres")
        except UnknownDatabase:
            return await self.connect("template1")


async def _check(session: _Session, endpoint: DatabaseEndpoint) -> None:
    """Refuse servers on which data would be lost."""
    ((number, version, standby, fsync, full_pages),) = await session.fetch(
        Statement(
            "SELECT current_setting('server_version_num')::int, version(), pg_is_in_recovery(), current_setting('fsync'), "
            "current_setting('full_page_writes')"
        )
    )
    if number < OLDEST or not version.startswith("PostgreSQL"):
        raise ConfigError(
            f"datastore-endpoint: {endpoint} is {version[:40]!r}: PostgreSQL 12 or newer is needed"
        )
    if standby:
        raise ConfigError(f"datastore-endpoint: {endpoint} is a read-only standby: name the primary server")
    for name, value in (("fsync", fsync), ("full_page_writes", full_pages)):
        if value != "on":
            raise ConfigError(
                f"datastore-endpoint: {endpoint} has {name} = {value}, which loses data at a power failure: set {name} = on in "
                "postgresql.conf and reload"
            )


async def _read_origin(session: _Session) -> str:
    """Return what identifies this installation of the tables: a restored or copied one has another."""
    ((tables,),) = await session.fetch(
        Statement(
            "SELECT oid || ':' || 'k3py_log'::regclass::oid FROM pg_database WHERE datname = current_database()"
        )
    )
    try:
        ((cluster,),) = await session.fetch(
            Statement(
                "SELECT (SELECT system_identifier FROM pg_control_system()) || ':' || (SELECT timeline_id FROM pg_control_checkpoint())"
            )
        )
    except Unavailable:  # not every service lets its users call these
        return str(tables)
    return f"{cluster}:{tables}"


async def _migrate(session: _Session) -> None:
    """Bring the tables to the version that this k3py knows."""
    await session.run_script("BEGIN")
    await session.fetch(Statement("SELECT pg_advisory_xact_lock(?)", (SCHEMA_LOCK,)))
    ((exists,),) = await session.fetch(Statement("SELECT to_regclass('k3py_meta') IS NOT NULL"))
    version = 0
    if exists:
        ((version,),) = await session.fetch(Statement("SELECT schema_version FROM k3py_meta"))
    if version > len(migrations.POSTGRES):
        raise ConfigError(
            f"the database {session.endpoint} was written by a newer k3py (schema version {version}, this one knows "
            f"{len(migrations.POSTGRES)})"
        )
    for name in migrations.POSTGRES[version:]:
        await session.run_script(migrations.script(name))
    if version < len(migrations.POSTGRES):
        await session.fetch(Statement("UPDATE k3py_meta SET schema_version = ?", (len(migrations.POSTGRES),)))
    await session.run_script("COMMIT")


class PostgresLog(ServerLog):
    """See `SharedLog`."""

    leases_statement = (
        "SELECT id, ttl_s, extract(epoch FROM clock_timestamp())::float8 - granted_at_s FROM k3py_lease"
    )

    def __init__(self, connections: Connections[_Session], server: _Server) -> None:
        super().__init__(server_statements.POSTGRES)
        self._connections = connections
        self._server = server
        self._writers = Connections(server.connect, limit=1)
        self._locked: _Session | None = None

    def close(self) -> None:
        """Close the writer's connection."""
        self._writers.close()

    def reading(self) -> AbstractAsyncContextManager[_Session]:
        """See `ServerLog`."""
        return self._connections.take()

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
                if not session.connection.is_closed() and session.connection.is_in_transaction():
                    with suppress(DatastoreError):
                        await session.fetch(Statement("ROLLBACK"))

    async def append(self, commit: Commit) -> None:
        """See `SharedLog`."""
        if self._locked is not None:
            await self._append(self._locked, commit)
            try:
                await self._locked.fetch(Statement("COMMIT"))
            except BaseException:
                self._cache.clear()
                raise
        elif commit.is_empty:
            await self._check_serial()
        else:
            async with self._writers.take() as session:
                await self._append(session, commit)
        self._committed(commit)

    async def _check_serial(self) -> None:
        ((serial,),) = await self._fetch(Statement(server_statements.SERIAL))
        if serial != self.serial:
            raise Overtaken("another server committed")

    async def _append(self, session: _Session, commit: Commit) -> None:
        if commit.is_empty:
            return
        written, deleted = newest_rows(commit)
        self._attempted_serial = self.serial + 1
        parameters = (
            self.serial,
            commit.events[-1].kv.mod_revision if commit.events else None,
            int(bool(commit.grants or commit.revokes)),
            *_columns(log_rows(commit), 7),
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
                "SELECT sum(pg_total_relation_size(c))::bigint FROM unnest(ARRAY['k3py_log', 'k3py_cur', 'k3py_lease', 'k3py_meta', "
                "'k3py_writer']::regclass[]) AS c"
            )
        )
        return LogSize(total, total)

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
                with _translated(session):
                    await session.connection.add_listener(CHANNEL, take)
                failures = 0
                while True:
                    ((serial,),) = await session.fetch(Statement(server_statements.SERIAL))
                    if serial != self.serial:
                        changed()
                    await _closed_within(session.connection, PROBE_S)
            except DatastoreError as error:
                log.warning("the connection that listens for changes was lost", extra={"error": str(error)})
            finally:
                session.abort()


async def _closed_within(connection: asyncpg.Connection, seconds: float) -> None:
    """Return when the connection is closed by the other side, or after some seconds."""
    closed = asyncio.Event()

    def on_close(_connection: object) -> None:
        closed.set()

    connection.add_termination_listener(on_close)
    try:
        async with asyncio.timeout(seconds):
            await closed.wait()
    except TimeoutError:
        return
    finally:
        connection.remove_termination_listener(on_close)


def _columns(rows: Sequence[tuple[object, ...]], count: int) -> list[list[object]]:
    return [[row[at] for row in rows] for at in range(count)]


if TYPE_CHECKING:

    def _is_log(log: PostgresLog) -> SharedLog:
        return log

"""Connections to a PostgreSQL server and what it must be like; the only door to asyncpg."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

import asyncpg

from k3py.datastore.drivers.connections import Refused, UnknownDatabase
from k3py.datastore.errors import NoSpace, Unavailable
from k3py.datastore.mvcc.shared_log import OutcomeUnknown
from k3py.datastore.sql import migrations
from k3py.datastore.sql.server_statements import Statement
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from k3py.datastore.endpoint import DatabaseEndpoint
    from k3py.datastore.sql.server_statements import Row

OLDEST = 120000
CONNECT_S = 5.0
ANSWER_S = 10.0
"""A server that does not answer a statement for so long is taken for gone."""

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


class Session:
    """A connection; see `server_log.Session`."""

    __slots__ = ("connection", "endpoint")

    def __init__(self, connection: asyncpg.Connection, endpoint: DatabaseEndpoint) -> None:
        self.connection = connection
        self.endpoint = endpoint

    async def fetch(self, statement: Statement) -> Sequence[Row]:
        """Run a statement and return its rows."""
        return await self.fetch_numbered(_numbered(statement.sql), statement.parameters)

    async def fetch_numbered(
        self, sql: str, parameters: Sequence[object], *, timeout_s: float = ANSWER_S
    ) -> Sequence[Row]:
        """Run a statement whose placeholders are $1, $2, …."""
        with _translated(self):
            async with asyncio.timeout(timeout_s):
                rows: Sequence[Row] = await self.connection.fetch(sql, *parameters)
        return rows

    async def run_script(self, sql: str) -> None:
        """Run several statements without parameters."""
        with _translated(self):
            async with asyncio.timeout(ANSWER_S * 6):
                await self.connection.execute(sql)

    async def listen(self, channel: str, take: Callable[[object, int, str, str], None]) -> None:
        """Have `take(connection, process, channel, payload)` called for each notification."""
        with _translated(self):
            await self.connection.add_listener(channel, take)

    async def closed_within(self, seconds: float) -> None:
        """Return when the other side closes the connection, or after some seconds."""
        closed = asyncio.Event()

        def on_close(_connection: object) -> None:
            closed.set()

        self.connection.add_termination_listener(on_close)
        try:
            async with asyncio.timeout(seconds):
                await closed.wait()
        except TimeoutError:
            return
        finally:
            self.connection.remove_termination_listener(on_close)

    @property
    def is_open(self) -> bool:
        """Say whether the connection stands."""
        return not self.connection.is_closed()

    @property
    def is_usable(self) -> bool:
        """See `connections.Connection`."""
        return not self.connection.is_closed() and not self.connection.is_in_transaction()

    def abort(self) -> None:
        """See `connections.Connection`."""
        self.connection.terminate()


@lru_cache(maxsize=256)
def _numbered(sql: str) -> str:
    first, *others = sql.split("?")
    return first + "".join(f"${number}{part}" for number, part in enumerate(others, start=1))


@contextmanager
def _translated(session: Session) -> Iterator[None]:
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


class Server:
    """How to connect."""

    def __init__(self, endpoint: DatabaseEndpoint) -> None:
        self.endpoint = endpoint
        self._context = endpoint.ssl_context()

    async def connect(self, database: str | None = None) -> Session:
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
        session = Session(connection, place)
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

    async def _connect_to_postgres(self) -> Session:
        try:
            return await self.connect("postgres")
        except UnknownDatabase:
            return await self.connect("template1")


async def check_server(session: Session, endpoint: DatabaseEndpoint) -> None:
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


async def read_origin(session: Session) -> str:
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


async def migrate(session: Session) -> None:
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

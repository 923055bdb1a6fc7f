"""Connections to a MariaDB or MySQL server and what it must be like; the only door to asyncmy."""

from __future__ import annotations

import asyncio
import logging
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

import asyncmy
from asyncmy import errors as mysql_errors

from k3py.datastore.drivers.connections import Refused, UnknownDatabase
from k3py.datastore.errors import NoSpace, Unavailable
from k3py.datastore.mvcc.shared_log import OutcomeUnknown, Overtaken
from k3py.datastore.sql import migrations
from k3py.datastore.sql.server_statements import Statement
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from k3py.datastore.endpoint import DatabaseEndpoint
    from k3py.datastore.sql.server_statements import Row, Value

log = logging.getLogger(__name__)

OLDEST_MARIADB = (10, 5)
OLDEST_MYSQL = (8, 0)
CONNECT_S = 5
ANSWER_S = 10.0
PACKET_BYTES = 16 << 20

STUMBLES = (AttributeError, LookupError, RuntimeError, ValueError, struct.error)
"""What asyncmy may raise when a connection is cut at a bad moment."""

UNKNOWN_DATABASE = 1049
ACCESS_DENIED = {1044, 1045, 1698, 2059, 2061}
CANNOT_BE_NULL = 1048
FULL = {1021, 1041, 1114}
GONE = {1053, 1152, 1153, 1158, 1159, 1160, 1161, 1184, 1927, 2006, 2013, 2014, 2055, 3024, 4031}

SESSION = (
    (
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', autocommit = 1, "
        "innodb_lock_wait_timeout = 5, lock_wait_timeout = 30, time_zone = '+00:00'"
    ),
    "SET SESSION TRANSACTION ISOLATION LEVEL {isolation}",
)


class Session:
    """A connection; see `server_log.Session`."""

    __slots__ = ("connection", "endpoint", "in_transaction")

    def __init__(self, connection: asyncmy.Connection, endpoint: DatabaseEndpoint) -> None:
        self.connection = connection
        self.endpoint = endpoint
        self.in_transaction = False

    async def fetch(self, statement: Statement) -> Sequence[Row]:
        """Run a statement and return its rows."""
        return await self.run(_with_literals(statement))

    async def run(self, *sql: str, timeout_s: float = ANSWER_S) -> Sequence[Row]:
        """Run statements as one packet, up to the first that fails; return the rows of the last."""
        if sql[0] in ("START TRANSACTION", "BEGIN"):
            self.in_transaction = True
        with _translated(self):
            async with asyncio.timeout(timeout_s):
                cursor = self.connection.cursor()
                await cursor.execute(";".join(sql))
                for _ in sql[1:]:
                    await cursor.nextset()
                rows: Sequence[Row] = await cursor.fetchall() if cursor.description else ()
        if sql[-1] in ("COMMIT", "ROLLBACK"):
            self.in_transaction = False
        return rows

    @property
    def is_open(self) -> bool:
        """Say whether the connection stands."""
        return bool(self.connection.connected)

    @property
    def is_usable(self) -> bool:
        """See `connections.Connection`."""
        return bool(self.connection.connected) and not self.in_transaction

    def abort(self) -> None:
        """See `connections.Connection`."""
        self.connection.close()


def literal(value: Value) -> str:
    """Return a value as SQL text in which nothing can be misread."""
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return f"CONVERT(x'{value.encode().hex()}' USING utf8mb4)"
    if isinstance(value, int | float):
        return repr(value)
    raise TypeError(f"no literal for {type(value).__name__}")


def _with_literals(statement: Statement) -> str:
    first, *others = statement.sql.split("?")
    parts = (f"{literal(value)}{part}" for value, part in zip(statement.parameters, others, strict=True))
    return first + "".join(parts)


@contextmanager
def _translated(session: Session) -> Iterator[None]:
    """Turn asyncmy's errors into conditions; a connection that may have lost its place in the protocol is closed."""
    place = session.endpoint
    try:
        yield
    except mysql_errors.MySQLError as error:
        code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        if code == CANNOT_BE_NULL:
            raise Overtaken("another server committed") from None
        text = str(error.args[1]) if len(error.args) > 1 else type(error).__name__
        if code in FULL:
            raise NoSpace(f"no space left for the database {place}") from error
        if code in GONE or code < 1000 or not session.connection.connected:
            session.abort()
            raise OutcomeUnknown(f"the connection to the database {place} was lost: {code} {text}") from error
        raise Unavailable(f"the database {place} cannot do that now ({code} {text})") from error
    except TimeoutError as error:
        session.abort()
        raise OutcomeUnknown(f"the database {place} does not answer") from error
    except (OSError, EOFError, *STUMBLES) as error:
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

    async def connect(self) -> Session:
        """Open a connection for reads.

        Raises:
            ConfigError: the server refuses it; says what to change.
            Unavailable: no server there, or not ready.
        """
        return await self._connect(self.endpoint.database, "REPEATABLE READ")

    async def connect_writer(self) -> Session:
        """Open a connection for the writer task: it must see what was committed before it got the lock."""
        return await self._connect(self.endpoint.database, "READ COMMITTED")

    async def _connect(self, database: str | None, isolation: str) -> Session:
        place = self.endpoint
        task = asyncio.current_task()
        cancelled = 0 if task is None else task.cancelling()
        try:
            async with asyncio.timeout(CONNECT_S):
                connection = await asyncmy.connect(
                    host=place.host or None,
                    port=place.port,
                    unix_socket=place.socket or None,
                    user=place.user,
                    password=place.password,
                    database=database,
                    charset="utf8mb4",
                    autocommit=True,
                    connect_timeout=CONNECT_S,
                    ssl=self._context,
                )
        except mysql_errors.MySQLError as error:
            code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
            text = str(error.args[-1]) if error.args else type(error).__name__
            if code == UNKNOWN_DATABASE:
                raise UnknownDatabase(f"the database {place} does not exist") from None
            if code in ACCESS_DENIED:
                raise Refused(
                    f"datastore-endpoint: {place} refuses user {place.user!r} ({text}): check the user, the password and its grants"
                ) from None
            raise _unreachable(place, f"{code} {text}") from None
        except (OSError, TimeoutError, EOFError, *STUMBLES) as error:
            raise _unreachable(place, str(error) or type(error).__name__) from None
        session = Session(connection, place)
        if task is not None and task.cancelling() > cancelled:
            # asyncmy connects below asyncio.wait_for, which in Python 3.11 loses a cancellation that comes when it is just done.
            session.abort()
            raise asyncio.CancelledError
        try:
            await session.run(*(sql.format(isolation=isolation) for sql in SESSION))
        except BaseException:
            session.abort()
            raise
        return session

    async def prepare(self) -> None:
        """Make the database if it is missing."""
        try:
            session = await self.connect()
        except UnknownDatabase:
            session = await self._connect(None, "READ COMMITTED")
            name = self.endpoint.database
            try:
                await session.run(
                    f"CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
                )
            except Unavailable as error:
                raise ConfigError(
                    f"datastore-endpoint: the database {self.endpoint} does not exist and user {self.endpoint.user!r} cannot make it "
                    f"({error}): make it with CREATE DATABASE `{name}` and grant ALL PRIVILEGES on it"
                ) from None
            finally:
                session.abort()
        else:
            session.abort()


def _unreachable(place: DatabaseEndpoint, reason: str) -> Unavailable:
    return Unavailable(
        f"cannot connect to the database {place} ({reason}): check that the server runs and that datastore-endpoint names it"
    )


async def check_server(session: Session, endpoint: DatabaseEndpoint) -> None:
    """Refuse servers on which data would be lost or does not fit."""
    ((version, read_only, packet, flush, doublewrite, binlog),) = await session.fetch(
        Statement(
            "SELECT version(), @@read_only, @@max_allowed_packet, @@innodb_flush_log_at_trx_commit, @@innodb_doublewrite, @@log_bin"
        )
    )
    is_mariadb = "mariadb" in version.lower()
    numbers = tuple(int(part) for part in version.split("-")[0].split(".")[:2] if part.isdecimal())
    if numbers < (OLDEST_MARIADB if is_mariadb else OLDEST_MYSQL):
        raise ConfigError(
            f"datastore-endpoint: {endpoint} is version {version}: MariaDB 10.5 or MySQL 8.0 or newer is needed"
        )
    if read_only:
        raise ConfigError(f"datastore-endpoint: {endpoint} is read-only: name the primary server")
    wrong = f"datastore-endpoint: {endpoint} has {{}}: set {{}} in the server's configuration ([mysqld]) and restart it"
    if packet < PACKET_BYTES:
        raise ConfigError(
            wrong.format(f"max_allowed_packet = {packet}", f"max_allowed_packet = {PACKET_BYTES >> 20}M")
        )
    if flush != 1:
        what = f"innodb_flush_log_at_trx_commit = {flush}, which loses data at a power failure"
        raise ConfigError(wrong.format(what, "innodb_flush_log_at_trx_commit = 1"))
    if str(doublewrite).upper() in ("0", "OFF"):
        log.warning("the database server runs without innodb_doublewrite: a power failure may damage it")
    if binlog:
        ((sync,),) = await session.fetch(Statement("SELECT @@sync_binlog"))
        if sync != 1 and not is_mariadb:
            log.warning(
                "the database server has sync_binlog other than 1: replicas may lose changes at a power failure"
            )


async def migrate(session: Session) -> None:
    """Bring the tables to the version that this k3py knows."""
    ((got,),) = await session.fetch(Statement("SELECT GET_LOCK(CONCAT('k3py.', DATABASE()), 8)"))
    if got != 1:
        raise Unavailable(f"another server prepares the database {session.endpoint}")
    tables = await session.fetch(Statement("SHOW TABLES LIKE 'k3py\\_meta'"))
    rows = await session.fetch(Statement("SELECT schema_version FROM k3py_meta")) if tables else ()
    version = rows[0][0] if rows else 0
    if version > len(migrations.MYSQL):
        raise ConfigError(
            f"the database {session.endpoint} was written by a newer k3py (schema version {version}, this one knows "
            f"{len(migrations.MYSQL)})"
        )
    for name in migrations.MYSQL[version:]:
        await session.run(*_statements(migrations.script(name)))
    if version < len(migrations.MYSQL):
        await session.fetch(Statement("UPDATE k3py_meta SET schema_version = ?", (len(migrations.MYSQL),)))
    await session.fetch(Statement("SELECT RELEASE_LOCK(CONCAT('k3py.', DATABASE()))"))


def _statements(script: str) -> list[str]:
    lines = (line for line in script.splitlines() if not line.startswith("--"))
    return [statement for part in "\n".join(lines).split(";") if (statement := part.strip())]


async def read_origin(session: Session) -> str:
    """Return what identifies this installation of the tables: a restored one has another."""
    ((host, folder, made),) = await session.fetch(
        Statement(
            "SELECT @@hostname, @@datadir, (SELECT CAST(create_time AS CHAR) FROM information_schema.tables WHERE table_schema = DATABASE() "
            "AND table_name = 'k3py_log')"
        )
    )
    return f"{host}:{folder}:{made}"

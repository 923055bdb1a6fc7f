"""Where a database server is and how to log in, read from a `--datastore-endpoint` as K3s spells it; passwords are never shown.

Source: k3s docs datastore, kine pkg/drivers/{pgsql,mysql} (spec/k3s.md §6.1 D-03, D-04, D-08; datastore.md 161, 162).
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from k3py.datastore.tls_files import TlsFiles
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_DATABASE = "kubernetes"
MYSQL_SOCKET = "/var/run/mysqld/mysqld.sock"
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

_NAME = re.compile(r"[A-Za-z0-9_$-]{1,63}")
_MYSQL = re.compile(r"(?:(?P<login>.*)@)?(?:(?P<net>[a-z]+)(?:\((?P<address>[^()]*)\))?)?", re.DOTALL)

_POSTGRES_OPTIONS = (
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "port",
    "user",
    "password",
    "dbname",
)
_MYSQL_IGNORED = (
    "charset",
    "collation",
    "parsetime",
    "loc",
    "timeout",
    "readtimeout",
    "writetimeout",
    "interpolateparams",
)


@dataclass(frozen=True, slots=True)
class DatabaseEndpoint:
    """A database on a server; exactly one of `host` and `socket` is set.

    socket: the socket itself (MySQL), or the folder it is in (PostgreSQL).
    ssl_mode: one of SSL_MODES.
    """

    scheme: str
    host: str
    port: int
    socket: str
    user: str
    password: str = field(repr=False)
    database: str
    ssl_mode: str
    tls: TlsFiles = field(default_factory=TlsFiles)

    def __str__(self) -> str:
        """Name the database without the password: for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{self.socket or f'{host}:{self.port}'}/{self.database}"

    def ssl_context(self) -> ssl.SSLContext | None:
        """Make the context for `ssl_mode`; None for disable, allow and prefer without files.

        Raises:
            ConfigError: a file cannot be used; names it.
        """
        if self.ssl_mode in ("disable", "allow", "prefer"):
            return None
        context = ssl.create_default_context()
        context.check_hostname = self.ssl_mode == "verify-full"
        if self.ssl_mode == "require" and self.tls.ca is None:
            context.verify_mode = ssl.CERT_NONE
        try:
            if self.tls.ca is not None:
                context.load_verify_locations(self.tls.ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"datastore-cafile: cannot use {self.tls.ca}: {_reason(error)}") from error
        try:
            if self.tls.certificate is not None:
                context.load_cert_chain(self.tls.certificate, self.tls.key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"datastore-certfile, datastore-keyfile: cannot use {self.tls.certificate}, {self.tls.key}: {_reason(error)}"
            ) from error
        return context


def parse_postgres(endpoint: str, tls: TlsFiles) -> DatabaseEndpoint:
    """Read `postgres://user:password@host:port/database?sslmode=…`; every part may be left out.

    Raises:
        ConfigError: says what is wrong, without showing the endpoint.
    """
    _check_pair(tls)
    try:
        parts = urlsplit(endpoint)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        host, port = unquote(parts.hostname or ""), parts.port
    except ValueError:
        raise ConfigError(
            "datastore-endpoint: must be postgres://user:password@host:port/database?sslmode=verify-full "
            "(write special characters of the password as %XX)"
        ) from None
    _check_options("postgres", options, _POSTGRES_OPTIONS)
    host = options.get("host", host) or "localhost"
    mode = options.get("sslmode", "verify-full" if tls else "prefer")
    if mode not in SSL_MODES:
        raise ConfigError(f"datastore-endpoint: sslmode {mode!r}: must be one of {', '.join(SSL_MODES)}")
    if tls and mode in ("disable", "allow", "prefer"):
        raise ConfigError(
            f"datastore-endpoint: sslmode={mode} contradicts datastore-cafile, datastore-certfile and datastore-keyfile"
        )
    is_socket = host.startswith("/")
    database = options.get("dbname") or unquote(parts.path.removeprefix("/")) or DEFAULT_DATABASE
    return DatabaseEndpoint(
        "postgres",
        "" if is_socket else host,
        _port(options.get("port"), port or 5432),
        host if is_socket else "",
        options.get("user") or unquote(parts.username or "") or "postgres",
        options.get("password")
        or (unquote(parts.password) if parts.password is not None else _default_password(parts.username)),
        _database(database.lower()),
        "disable" if is_socket else mode,
        _merged(tls, options),
    )


def _default_password(user: str | None) -> str:
    return "" if user else "postgres"


def parse_mysql(endpoint: str, tls: TlsFiles) -> DatabaseEndpoint:
    """Read `mysql://user:password@tcp(host:port)/database` or `…@unix(/path)/database`; every part may be left out.

    The password is taken as it is, as the Go driver does: nothing in it is escaped.

    Raises:
        ConfigError: says what is wrong, without showing the endpoint.
    """
    _check_pair(tls)
    shape = "must be mysql://user:password@tcp(host:3306)/database or mysql://user:password@unix(/path/of/socket)/database"
    rest = endpoint.partition("://")[2]
    front, slash, back = rest.rpartition("/")
    if not slash:
        front, back = rest, ""
    if front.count("(") > front.count(")") and ")" in back:  # "@unix(/path)" without a database
        front, back = rest, ""
    database, _, query = back.partition("?")
    found = _MYSQL.fullmatch(front)
    if found is None:
        raise ConfigError(f"datastore-endpoint: {shape}")
    options = {name.lower(): value for name, value in parse_qsl(query, keep_blank_values=True)}
    if "tls" in options:
        raise ConfigError(
            "datastore-endpoint: the parameter tls cannot be used; name files with datastore-cafile, datastore-certfile and datastore-keyfile"
        )
    _check_options("mysql", options, _MYSQL_IGNORED)
    net, address = found["net"] or ("tcp" if tls else "unix"), found["address"] or ""
    user, _, password = (found["login"] or "root").partition(":")
    common = (user or "root", password, _database(unquote(database) or DEFAULT_DATABASE))
    if net == "unix":
        if tls:
            raise ConfigError("datastore-endpoint: TLS files are of no use with a unix socket")
        return DatabaseEndpoint("mysql", "", 0, address or MYSQL_SOCKET, *common, "disable")
    if net != "tcp":
        raise ConfigError(f"datastore-endpoint: {shape}")
    try:
        parts = urlsplit(f"//{address or '127.0.0.1'}")
        host, port = parts.hostname or "127.0.0.1", parts.port or 3306
    except ValueError:
        raise ConfigError(f"datastore-endpoint: {shape}") from None
    return DatabaseEndpoint("mysql", host, port, "", *common, "verify-full" if tls else "disable", tls)


def _check_pair(tls: TlsFiles) -> None:
    if (tls.certificate is None) != (tls.key is None):
        raise ConfigError("datastore-certfile and datastore-keyfile must be given together")


def _check_options(scheme: str, options: Mapping[str, str], known: tuple[str, ...]) -> None:
    for name in options:
        if name not in known:
            raise ConfigError(
                f"datastore-endpoint: unknown parameter {name!r} of {scheme}://; known are {', '.join(known)}"
            )


def _merged(tls: TlsFiles, options: Mapping[str, str]) -> TlsFiles:
    """Take files from the flags, else from the endpoint."""

    def one(flag: Path | None, name: str) -> Path | None:
        return flag or (Path(options[name]) if options.get(name) else None)

    merged = TlsFiles(one(tls.ca, "sslrootcert"), one(tls.certificate, "sslcert"), one(tls.key, "sslkey"))
    _check_pair(merged)
    return merged


def _database(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"datastore-endpoint: database name {name!r}: use letters, digits, _, - and $, at most 63"
        )
    return name


def _port(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ConfigError(f"datastore-endpoint: port {text!r}: must be a number below 65536")
    return int(text)


def _reason(error: OSError) -> str:
    return error.strerror or getattr(error, "reason", None) or type(error).__name__

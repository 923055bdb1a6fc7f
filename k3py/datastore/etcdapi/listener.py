"""Where the etcd face listens: `host:port`, `http(s)://host:port`, `tcp://host:port`, `unix:///path`, and its TLS."""

from __future__ import annotations

import os
import socket
import ssl
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_PORT: Final = 2379


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A TCP address (`host` empty: all), or the `path` of a unix socket."""

    host: str = ""
    port: int = DEFAULT_PORT
    path: Path | None = None


def parse_listen_address(
    text: str, *, flag: str = "listen-address", default_port: int = DEFAULT_PORT
) -> ListenAddress:
    """Read a listen address, the value of `flag`.

    Raises:
        ConfigError: it is none.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "tcp", text
    if scheme in ("unix", "unixs"):
        if not rest:
            raise ConfigError(f"{flag}: {text!r} names no socket, expected unix:///path")
        return ListenAddress(path=Path(rest))
    if scheme not in ("tcp", "http", "https"):
        raise ConfigError(f"{flag}: unknown scheme {scheme!r}; allowed are tcp, http, https and unix")
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ConfigError(f"{flag}: {text!r} is not host:port: {error}") from error
    if parts.path not in ("", "/") or parts.query or parts.username is not None:
        raise ConfigError(f"{flag}: {text!r} is not host:port")
    return ListenAddress("" if host == "0.0.0.0" else host, default_port if port is None else port)  # noqa: S104


def server_context(certificate: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    """Make the TLS context of a server; with `client_ca` only clients with a certificate of it may connect.

    Raises:
        ConfigError: a file cannot be used; names it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"cannot use the certificate {certificate} with the key {key}: {error}") from error
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"cannot use the authority {client_ca}: {error}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def bind_tcp(address: ListenAddress) -> socket.socket:
    """Return a listening socket.

    Raises:
        OSError: the address is in use or none of this machine.
    """
    dual = not address.host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual or ":" in address.host else socket.AF_INET
    # Named by its protocol: whoever accepts looks at it to switch delays off (40 ms an answer).
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not dual))
        sock.bind((address.host, address.port))
        sock.listen(1024)
    except BaseException:
        sock.close()
        raise
    return sock


@contextmanager
def private_socket(path: Path) -> Iterator[None]:
    """Make way for a unix socket at `path`, made inside the block, that only this user may use."""
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        path.unlink()
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)

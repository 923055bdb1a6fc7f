"""Endpoints of an etcd cluster as K3s spells them: `https://host:port,https://host:port` (spec/k3s.md §6.1 D-05, D-07)."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from k3py.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_PORT = 2379
SCHEMES = ("http", "https", "unix", "unixs")


def parse_etcd_endpoints(text: str) -> tuple[bool, list[tuple[str, int]]]:
    """Read a list of endpoints; return whether they use TLS, and (host, port) or (path of a unix socket, 0) of each.

    Raises:
        ConfigError: an endpoint is misspelt, or they differ in TLS; shows none, they might hold a password.
    """
    addresses: list[tuple[str, int]] = []
    kinds = set()
    for one in filter(None, (part.strip() for part in text.split(","))):
        scheme, separator, rest = one.partition("://")
        if not separator or scheme not in SCHEMES:
            raise ConfigError(
                "--datastore-endpoint: etcd must be named as https://host:port,https://host:port"
            )
        kinds.add(scheme in ("https", "unixs"))
        if scheme.startswith("unix"):
            addresses.append((rest, 0))
            continue
        try:
            parts = urlsplit(one)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ConfigError(f"--datastore-endpoint: an endpoint of etcd is misspelt: {error}") from None
        if not host or parts.path not in ("", "/") or parts.query or parts.username is not None:
            raise ConfigError(
                "--datastore-endpoint: an endpoint of etcd is a scheme, a host and a port; users are not supported"
            )
        addresses.append((host, port or DEFAULT_PORT))
    if len(kinds) != 1:
        raise ConfigError("--datastore-endpoint: endpoints of etcd must all be http or all be https")
    return kinds.pop(), addresses


def client_context(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """Make the TLS context of a client; `ca` None: the system's authorities.

    Raises:
        ConfigError: a file cannot be used; names it.
    """
    if bool(certificate) != bool(key):
        raise ConfigError("--datastore-certfile and --datastore-keyfile belong together")
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    try:
        if ca is not None:
            context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"--datastore-cafile: cannot use {ca}: {error}") from error
    try:
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"--datastore-certfile: cannot use {certificate} with {key}: {error}") from error
    return context

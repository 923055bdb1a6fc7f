"""Where a datastore of its own process listens: hosts and ports, for a look whether anybody answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.datastore.endpoint import parse_mysql, parse_postgres
from k3py.datastore.etcdapi.endpoints import parse_etcd_endpoints

if TYPE_CHECKING:
    from k3py.datastore.tls_files import TlsFiles


def hosts_of(endpoint: str, tls: TlsFiles) -> list[tuple[str, int]]:
    """Return host and port of each server that an endpoint names; none for sockets, SQLite and memory.

    Raises:
        ConfigError: the endpoint is misspelt; the message does not repeat its password.
    """
    scheme = endpoint.partition("://")[0]
    if scheme in ("postgres", "postgresql", "mysql"):
        target = (parse_mysql if scheme == "mysql" else parse_postgres)(endpoint, tls)
        return [] if target.socket else [(target.host, target.port)]
    if scheme in ("http", "https"):
        return [(host, port) for host, port in parse_etcd_endpoints(endpoint)[1]]
    return []

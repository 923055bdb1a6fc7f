"""The server's own settings for commands beside it: the same flags, environment and files (C-72)."""

from __future__ import annotations

import argparse
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Never, cast

from k3py.config.loader import load_values
from k3py.config.server import snapshot_dir
from k3py.datastore.tls_files import TlsFiles
from k3py.errors import ConfigError
from k3py.server.etcd.choice import find_member

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.config.value import Value


class CommandParser(argparse.ArgumentParser):
    """A parser whose errors are ConfigErrors (one line, exit code 2)."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def error(self, message: str) -> Never:
        """Refuse the command line."""
        raise ConfigError(f"{message} (see `{self.prog} --help`)")


@dataclass(frozen=True, slots=True)
class ServerValues:
    """What the server in `data_dir` would run with; endpoint and tls: of its datastore, which may be a member of the managed etcd."""

    data_dir: Path
    endpoint: str
    node_name: str
    snapshot_dir: Path
    values: dict[str, Value]
    tls: TlsFiles

    @property
    def server_dir(self) -> Path:
        """The folder below which SQLite lies."""
        return self.data_dir / "server"


def add_server_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say which server is meant."""
    parser.add_argument("--config", "-c", metavar="FILE", help="the server's configuration file")
    parser.add_argument("--data-dir", "-d", metavar="PATH", help="the server's data dir")
    parser.add_argument("--datastore-endpoint", metavar="URL", help="the server's datastore")


def load_server_values(parsed: argparse.Namespace, *more: str) -> ServerValues:
    """Read the settings; `more`: names of further flags of the server, taken from `parsed` when given.

    Raises:
        ConfigError: see `load_values`.
    """
    arguments: list[str] = []
    for name in ("config", "data-dir", "datastore-endpoint", *more):
        given = getattr(parsed, name.replace("-", "_"))
        if given is not None:
            arguments.append(f"--{name}={given}")
    values = load_values("server", arguments, os.environ)
    data_dir = cast("Path", values["data_dir"]).absolute()
    names = ("datastore_cafile", "datastore_certfile", "datastore_keyfile")
    endpoint, tls = (
        cast("str", values["datastore_endpoint"]),
        TlsFiles(*(cast("Path | None", values[name]) for name in names)),
    )
    member = find_member(data_dir) if parsed.datastore_endpoint is None else None
    if member is not None:  # as the server does
        endpoint, tls = member.endpoint, member.tls_files
    return ServerValues(
        data_dir=data_dir,
        endpoint=endpoint,
        tls=tls,
        node_name=cast("str", values["node_name"]) or socket.gethostname().lower(),
        snapshot_dir=snapshot_dir(values),
        values=values,
    )

"""The flags by which commands find the server that they ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from k3py.cluster.server_client import ServerAddress
from k3py.config.loader import load_values
from k3py.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from pathlib import Path

    from k3py.config.value import Value


def add_address_flags(parser: argparse.ArgumentParser) -> None:
    """Add --server, --token, --config and --data-dir."""
    parser.add_argument("--config", "-c", metavar="FILE", help="the server's configuration file")
    parser.add_argument("--data-dir", "-d", metavar="PATH", help="the server's data dir")
    parser.add_argument("--server", "-s", metavar="URL", help="the server (default: the one on this machine)")
    parser.add_argument("--token", "-t", metavar="TOKEN", help="its token (default: the data dir's)")


def find_address(parsed: argparse.Namespace, environ: Mapping[str, str]) -> ServerAddress:
    """Return which server is meant, by flags, the server's own settings and its data dir.

    Raises:
        ConfigError: no token is there, or a setting is wrong.
    """
    arguments = [
        f"--{name}={given}"
        for name in ("config", "data-dir")
        if (given := getattr(parsed, name.replace("-", "_")))
    ]
    values = load_values("server", arguments, environ)
    token = (
        parsed.token
        or environ.get("K3PY_TOKEN")
        or _read_token(cast("Path", values["data_dir"]) / "server" / "token")
    )
    return ServerAddress(parsed.server or own_url(values), token)


def own_url(values: Mapping[str, Value]) -> str:
    """Return where the server with these settings answers on this machine."""
    host = str(values["bind_address"])
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return (
        f"https://[{host}]:{values['https_listen_port']}"
        if ":" in host
        else f"https://{host}:{values['https_listen_port']}"
    )


def _read_token(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"--token: must be given: {file}: {error.strerror}") from error

"""Asks a server's registration endpoint, for commands: checks its CA before the token leaves (J-10 to J-15).

Blocking and without aiohttp: a command line starts in a moment.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from k3py.cluster.token import is_pinned_by, parse_token
from k3py.config.loader import load_values
from k3py.errors import ConfigError, K3pyError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from pathlib import Path

    from k3py.config.value import Value
    from k3py.jsontypes import JsonObject

_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a server is and what proves us; the token shows in no representation."""

    url: str
    token: str

    def __repr__(self) -> str:
        return f"ServerAddress({self.url!r})"


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
    return ServerAddress(parsed.server or _own_url(values), token)


def _own_url(values: Mapping[str, Value]) -> str:
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


def ask_server(address: ServerAddress, method: str, path: str, body: JsonObject | None = None) -> JsonObject:
    """Send a request as the user `server` and return the answered object.

    Raises:
        K3pyError: the server is not reachable, is not the token's, or refuses; the message says why.
    """
    parts = urlsplit(address.url)
    if parts.scheme != "https" or not parts.hostname:
        raise ConfigError(f"--server: {address.url!r}: must be a URL that starts with https://")
    token = parse_token(address.token)
    ca = _fetch_ca(parts.hostname, parts.port or 443)
    if token.ca_hash and not is_pinned_by(ca, token.ca_hash):
        raise K3pyError(f"--token: is for another cluster than {address.url}; nothing was sent to it")
    context = ssl.create_default_context(cadata=ca.decode())
    credentials = base64.b64encode(f"server:{token.password}".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
    status, answer = _exchange(
        parts.hostname,
        parts.port or 443,
        context,
        method,
        path,
        headers,
        json.dumps(body) if body is not None else None,
    )
    text = answer.decode(errors="replace")
    if status != http.client.OK:
        raise K3pyError(f"{address.url}: {text.strip() or status}")
    return cast("JsonObject", json.loads(text))


def _fetch_ca(host: str, port: int) -> bytes:
    blind = ssl.create_default_context()
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    status, answer = _exchange(host, port, blind, "GET", "/cacerts", {}, None)
    if status != http.client.OK:
        raise K3pyError(f"https://{host}:{port}: is no k3py server")
    return answer


def _exchange(
    host: str,
    port: int,
    context: ssl.SSLContext,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: str | None,
) -> tuple[int, bytes]:
    connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)
    try:
        connection.request(method, path, body=body, headers=dict(headers))
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise K3pyError(f"https://{host}:{port}: cannot be reached: {error}") from error
    finally:
        connection.close()

"""Asks a server's registration endpoint, for commands and for servers that join: checks its CA before the token leaves (J-10 to J-15).

Blocking and without aiohttp: a command line starts in a moment.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

from k3py.cluster.token import hash_ca, is_pinned_by, parse_token
from k3py.errors import ConfigError, K3pyError
from k3py.pki.tls import ignore_dates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.jsontypes import JsonObject

_TIMEOUT_S: Final = 60.0
_MOST_BYTES: Final = 4 * 1024 * 1024


class NotReachable(K3pyError):
    """The server does not answer, or not yet: try again."""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a server is and what proves us; the token shows in no representation."""

    url: str
    token: str

    def __repr__(self) -> str:
        return f"ServerAddress({self.url!r})"


def ask_server(address: ServerAddress, method: str, path: str, body: JsonObject | None = None) -> JsonObject:
    """Send a request as the user `server` and return the answered object.

    Raises:
        K3pyError: the server is not reachable, is not the token's, or refuses; the message says why.
    """
    answer = fetch(address, method, path, json.dumps(body) if body is not None else None)
    return cast("JsonObject", json.loads(answer.decode(errors="replace")))


def fetch(address: ServerAddress, method: str, path: str, body: str | None = None) -> bytes:
    """Send a request as the user `server` and return the answer's body, at most 4 MiB of it.

    `address` has the token in either form.

    Raises:
        ConfigError: the URL or the token cannot be used.
        NotReachable: nobody answers, or a server that is not ready.
        K3pyError: it is not the token's server, or refuses; the message says why.
    """
    parts = urlsplit(address.url)
    if parts.scheme != "https" or not parts.hostname:
        raise ConfigError(f"--server: {address.url!r}: must be a URL that starts with https://")
    host, port = parts.hostname, parts.port or 443
    token = parse_token(address.token)
    ca = _fetch_ca(host, port)
    if token.ca_hash and not is_pinned_by(ca, token.ca_hash):
        raise K3pyError(
            f"--token: is for another cluster than {address.url}: the server's CA has the hash {hash_ca(ca)}, the token's is {token.ca_hash}; "
            "nothing was sent to it"
        )
    context = ssl.create_default_context(cadata=ca.decode())
    ignore_dates(context)  # the token's hash vouches for the authority, and the server proves its key
    credentials = base64.b64encode(f"server:{token.password}".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
    status, answer = _exchange(host, port, context, method, path, headers, body)
    if status == http.client.OK:
        return answer
    text = answer[:1000].decode(errors="replace").strip() or str(status)
    if status == http.client.UNAUTHORIZED:
        raise K3pyError(f"--token: the server {address.url} does not accept it")
    if status >= http.client.INTERNAL_SERVER_ERROR:
        raise NotReachable(f"{address.url}: {text}")
    raise K3pyError(f"{address.url}: {text}")


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
        answer = response.read(_MOST_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        raise NotReachable(f"https://{host}:{port}: cannot be reached: {error}") from error
    finally:
        connection.close()
    if len(answer) > _MOST_BYTES:
        raise K3pyError(f"https://{host}:{port}: answers with more than {_MOST_BYTES} bytes")
    return response.status, answer

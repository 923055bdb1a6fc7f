"""One HTTP GET for probes and hooks: a connection that is closed behind it, at most 10 KiB of the answer.

No client library: a probe a second on each of a hundred pods should cost next to nothing. Source: pkg/probe/http/http.go v1.35.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BODY_BYTES: Final = 10 * 1024
MAX_REDIRECTS: Final = 10
_MAX_HEAD_BYTES: Final = 64 * 1024


class HttpGetError(K3pyError):
    """No answer, or one that is not HTTP."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body (cut), and where a redirect leads ("" = it is none)."""

    status: int
    body: bytes
    location: str = ""


async def http_get(
    *, host: str, port: int, path: str, tls: bool, headers: Sequence[tuple[str, str]] = (), timeout_s: float
) -> Answer:
    """GET and follow redirects on the same host; TLS certificates are not verified (as upstream).

    Raises:
        HttpGetError: connection refused, timeout, no HTTP.
    """
    try:
        async with asyncio.timeout(timeout_s):
            for _ in range(MAX_REDIRECTS):
                answer = await _one(host, port, path, tls=tls, headers=headers)
                if not answer.location or not 300 <= answer.status < 400:
                    return answer
                target = urlsplit(answer.location)
                if target.hostname not in (None, host):
                    # A redirect to elsewhere counts as success and is not followed.
                    return answer
                if target.hostname is not None:
                    tls = target.scheme == "https"
                    port = target.port or (443 if tls else 80)
                path = (target.path or "/") + (f"?{target.query}" if target.query else "")
    except TimeoutError as error:
        raise HttpGetError(
            f'Get "{"https" if tls else "http"}://{_authority(host, port)}{path}": context deadline exceeded '
            "(Client.Timeout exceeded while awaiting headers)"
        ) from error
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        scheme = "https" if tls else "http"
        raise HttpGetError(
            f'Get "{scheme}://{_authority(host, port)}{path}": {_reason(error, host, port)}'
        ) from error
    raise HttpGetError(f"stopped after {MAX_REDIRECTS} redirects")


def _reason(error: Exception, host: str, port: int) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"dial tcp {_authority(host, port)}: connect: connection refused"
    return str(error) or type(error).__name__


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _one(host: str, port: int, path: str, *, tls: bool, headers: Sequence[tuple[str, str]]) -> Answer:
    context = None
    if tls:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(host, port, ssl=context, limit=_MAX_HEAD_BYTES)
    try:
        writer.write(_request(host, port, path, headers))
        head = await reader.readuntil(b"\r\n\r\n")
        status_line, *fields = head.decode("latin-1").split("\r\n")
        status = int(status_line.split(" ", 2)[1])
        location = next((one[9:].strip() for one in fields if one.lower().startswith("location:")), "")
        body = await reader.read(MAX_BODY_BYTES)
        return Answer(status, body, location)
    finally:
        writer.close()


def _request(host: str, port: int, path: str, headers: Sequence[tuple[str, str]]) -> bytes:
    given = {name.lower() for name, _ in headers}
    lines = [f"GET {path if path.startswith('/') else '/' + path} HTTP/1.1"]
    defaults = (("Host", _authority(host, port)), ("User-Agent", "kube-probe/1.35"), ("Accept", "*/*"))
    lines += [f"{name}: {value}" for name, value in defaults if name.lower() not in given]
    lines += [
        f"{name}: {value}" for name, value in headers if value or name.lower() not in ("user-agent", "accept")
    ]
    lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

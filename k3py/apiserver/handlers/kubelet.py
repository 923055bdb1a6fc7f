"""Requests that a kubelet answers: logs, exec, attach, port-forward and proxies.

The client's request goes on to the kubelet with the API server's credential in place of the client's. An upgraded connection
(WebSocket, SPDY/3.1) becomes a tunnel of bytes: both ends speak the protocol, nothing here needs to.
Source: k8s.io/apimachinery/pkg/util/proxy/upgradeaware.go v0.35.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aiohttp import web

from k3py.api.status import ApiError, bad_request
from k3py.apiserver.encoding.answer import make_headers
from k3py.apiserver.filters.authn import WEBSOCKET_TOKEN
from k3py.apiserver.handlers.websocket import MessageStream, is_websocket
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from k3py.apiserver.exchange import Exchange
    from k3py.apiserver.interface import KubeletConnector, StreamResult

_CHUNK_BYTES: Final = 64 * 1024
_FAULT_BYTES: Final = 50_000
_DIAL_S: Final = 15.0
_HEAD_S: Final = 60.0
_NOT_FORWARDED: Final = frozenset(
    (
        "authorization",
        "host",
        "connection",
        "keep-alive",
        "upgrade",
        "te",
        "transfer-encoding",
        "content-length",
        "accept-encoding",
    )
)
_NOT_FORWARDED_PREFIXES: Final = ("impersonate-", "x-remote-")
_NOT_RETURNED: Final = frozenset(
    (
        "connection",
        "keep-alive",
        "transfer-encoding",
        "content-length",
        "audit-id",
        "cache-control",
        "date",
        "server",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """Status line and headers of a kubelet's answer; `raw` is all of it as it came."""

    status: int
    headers: tuple[tuple[str, str], ...]
    raw: bytes

    def get(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")


class KubeletProxy:
    """Passes requests on to kubelets; `connector` None = this server reaches none (503)."""

    def __init__(self, connector: KubeletConnector | None) -> None:
        self._connector = connector

    async def answer(self, exchange: Exchange, result: StreamResult) -> web.StreamResponse:
        """Forward the request to `result.target` and the answer to the client. Raises ApiError."""
        if _lacks_slash(exchange):
            return _redirect_to_slash(exchange)
        reader, writer = await self._connect(result.target)
        try:
            # Browsers read logs as WebSocket messages; kubelets only know them as bytes.
            as_messages = exchange.info.subresource == "log" and is_websocket(exchange.request)
            upgrade = "" if as_messages else exchange.request.headers.get("Upgrade", "")
            writer.write(_request_head(exchange, result.target, upgrade))
            await _forward_body(exchange, writer)
            async with asyncio.timeout(_HEAD_S):
                head = await _read_head(reader)
            if head.status == 101 and upgrade:
                return await _tunnel(exchange, head, reader, writer)
            if exchange.info.subresource == "log" and not 200 <= head.status <= 206:
                raise await _log_fault(exchange, head, reader)
            if as_messages:
                return await MessageStream(exchange, text=False).run(_iter_body(head, reader))
            return await _relay(exchange, head, reader)
        except TimeoutError as error:
            raise _unreachable(result.target, "no answer") from error
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            raise _unreachable(result.target, str(error)) from error
        finally:
            writer.close()

    async def _connect(self, target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._connector is None:
            raise ApiError(503, "ServiceUnavailable", "this server has no way to kubelets")
        try:
            async with asyncio.timeout(_DIAL_S):
                return await self._connector.connect(target)
        except TimeoutError as error:
            raise _unreachable(target, "timed out") from error
        except OSError as error:
            raise _unreachable(target, str(error)) from error


def _lacks_slash(exchange: Exchange) -> bool:
    info = exchange.info
    bare = info.subresource == "proxy" and not info.rest and not info.path.endswith("/")
    return bare and info.method in ("GET", "HEAD")


def _redirect_to_slash(exchange: Exchange) -> web.Response:
    """Send readers of `…/proxy` to `…/proxy/`, so that relative links of what is behind it work."""
    path, _, query = exchange.request.raw_path.partition("?")
    headers = make_headers(exchange, "text/plain; charset=utf-8")
    headers["Location"] = f"{path}/?{query}" if query else f"{path}/"
    return web.Response(status=301, headers=headers)


class TakenOver(web.StreamResponse):
    """Stands for an answer that was written to the connection by hand; the connection ends with it."""

    def __init__(self) -> None:
        super().__init__(status=101)
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing."""


class _ClientBytes:
    """Feeds what the client sends after an upgrade into a StreamReader (a parser in aiohttp's eyes)."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._reader.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        self._reader.feed_eof()


def _request_head(exchange: Exchange, target: str, upgrade: str) -> bytes:
    url = urlsplit(target)
    path = url.path or "/"
    if url.query:
        path = f"{path}?{url.query}"
    request = exchange.request
    lines = [f"{request.method} {path} HTTP/1.1", f"Host: {url.netloc}"]
    for name, value in request.headers.items():
        lowered = name.lower()
        if lowered in _NOT_FORWARDED or lowered.startswith(_NOT_FORWARDED_PREFIXES):
            continue
        if lowered.startswith("sec-websocket"):
            if not upgrade:
                continue
            if lowered == "sec-websocket-protocol":
                value = _without_token(value)  # noqa: PLW2901
        lines.append(f"{name}: {value}")
    if upgrade:
        lines += ["Connection: Upgrade", f"Upgrade: {upgrade}"]
    else:
        lines.append("Connection: close")
    if request.can_read_body:
        lines.append("Transfer-Encoding: chunked")
    elif request.method not in ("GET", "HEAD"):
        lines.append("Content-Length: 0")
    return "\r\n".join((*lines, "\r\n")).encode("utf-8", "surrogateescape")


def _without_token(protocols: str) -> str:
    """Take the bearer token that browsers hide among WebSocket subprotocols out of the list."""
    names = (name.strip() for name in protocols.split(","))
    return ", ".join(name for name in names if not name.startswith(WEBSOCKET_TOKEN))


async def _forward_body(exchange: Exchange, writer: asyncio.StreamWriter) -> None:
    request = exchange.request
    if request.can_read_body:
        while chunk := await request.content.readany():
            writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
    await writer.drain()


async def _read_head(reader: asyncio.StreamReader) -> _Head:
    raw = await reader.readuntil(b"\r\n\r\n")
    first, *rest = raw[:-4].decode("utf-8", "surrogateescape").split("\r\n")
    status = int(first.split(" ", 2)[1])
    pairs = (line.partition(":") for line in rest)
    return _Head(status=status, headers=tuple((name, value.strip()) for name, _, value in pairs), raw=raw)


async def _tunnel(
    exchange: Exchange, head: _Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> web.StreamResponse:
    """Copy bytes both ways until both sides have ended, or one is broken."""
    request = exchange.request
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client has gone")
    loop = asyncio.get_running_loop()
    client_reader = asyncio.StreamReader(limit=_CHUNK_BYTES)
    client_writer = asyncio.StreamWriter(transport, request.protocol, None, loop)
    client_writer.write(head.raw)
    exchange.streaming = True
    request.protocol.set_parser(_ClientBytes(client_reader))  # type: ignore[arg-type]
    try:
        async with TaskScope() as scope:
            upstream = scope.spawn(_copy(client_reader, writer), name="tunnel to kubelet")
            await _copy(reader, client_writer)
            # The kubelet has ended: what the client still sends is for nobody.
            upstream.cancel()
    finally:
        client_writer.close()
    return TakenOver()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(_CHUNK_BYTES):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
    except ConnectionError:
        return


async def _relay(exchange: Exchange, head: _Head, reader: asyncio.StreamReader) -> web.StreamResponse:
    """Send a kubelet's plain answer on while it comes."""
    headers = make_headers(exchange, head.get("content-type") or "text/plain")
    for name, value in head.headers:
        if name.lower() not in _NOT_RETURNED and name.lower() != "content-type":
            headers.add(name, value)
    response = web.StreamResponse(status=head.status, headers=headers)
    if head.status not in (204, 304) and exchange.request.method != "HEAD":
        response.enable_chunked_encoding()
    await response.prepare(exchange.request)
    exchange.streaming = True
    if exchange.request.method != "HEAD":
        async for data in _iter_body(head, reader):
            await response.write(data)
    await response.write_eof()
    return response


async def _iter_body(head: _Head, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    if head.status in (204, 304):
        return
    if "chunked" in head.get("transfer-encoding").lower():
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            yield (await reader.readexactly(size + 2))[:-2]
        return
    length = head.get("content-length")
    left = int(length) if length else -1
    while left and (data := await reader.read(_CHUNK_BYTES if left < 0 else min(left, _CHUNK_BYTES))):
        left -= len(data) if left > 0 else 0
        yield data


async def _log_fault(exchange: Exchange, head: _Head, reader: asyncio.StreamReader) -> ApiError:
    """Make a Status of what a kubelet says instead of logs.

    Source: k8s.io/apiserver/pkg/registry/generic/rest/response_checker.go v0.35.
    """
    body = b""
    async for data in _iter_body(head, reader):
        body += data
        if len(body) >= _FAULT_BYTES:
            break
    text = body[:_FAULT_BYTES].decode("utf-8", "replace").rstrip("\n")
    if head.status == 400:
        return bad_request(text)
    if head.status == 404:
        message = f"the server could not find the requested resource ( pods {exchange.info.name})"
        return ApiError(404, "NotFound", message, details={"name": exchange.info.name, "kind": "pods"})
    message = f"Internal error occurred: {text}"
    return ApiError(500, "InternalError", message, details={"causes": [{"message": text}]})


def _unreachable(target: str, reason: str) -> ApiError:
    host = urlsplit(target).netloc
    return ApiError(
        500,
        "InternalError",
        f"Internal error occurred: error dialing backend: {host}: {reason or 'connection lost'}",
        details={"causes": [{"message": f"error dialing backend: {reason}"}]},
    )

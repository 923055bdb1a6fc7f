"""Passing a request on to another server, and its answer back, over a connection that somebody opened.

The client's credentials stay here. An upgraded connection (WebSocket, SPDY/3.1) becomes a tunnel of bytes: both ends speak the
protocol, nothing here needs to.
Source: k8s.io/apimachinery/pkg/util/proxy/upgradeaware.go v0.35.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aiohttp import web

from k3py.apiserver.encoding.answer import make_headers
from k3py.apiserver.filters.authn import WEBSOCKET_TOKEN
from k3py.apiserver.handlers.page_rewriting import ProxiedPage
from k3py.apiserver.registry.large import run_sized
from k3py.util import upgrade
from k3py.util.upgrade import CHUNK_BYTES

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Iterable

    from k3py.apiserver.exchange import Exchange

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
        "expect",
    )
)
_BIGGEST_PAGE: Final = 4 * 1024 * 1024
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
class Head:
    """Status line and headers of an answer; `raw` is all of it as it came."""

    status: int
    headers: tuple[tuple[str, str], ...]
    raw: bytes

    def get(self, name: str) -> str:
        """Return a header by its name in lower case, "" = it is not there."""
        return next((value for key, value in self.headers if key.lower() == name), "")


def request_head(
    exchange: Exchange,
    target: str,
    upgrade: str,
    *,
    more: Iterable[tuple[str, str]] = (),
    encodings: bool = False,
) -> bytes:
    """Return the head of the request as the other server gets it.

    Args:
        exchange: the client's request.
        target: URL of the other server, its path and query as they go on.
        upgrade: protocol that the connection is to become, "" = none.
        more: headers to add, in place of the client's of these names.
        encodings: the answer may be compressed as the client accepts it.
    """
    added = list(more)
    skipped = _NOT_FORWARDED | {name.lower() for name, _ in added}
    url = urlsplit(target)
    path = url.path or "/"
    if url.query:
        path = f"{path}?{url.query}"
    request = exchange.request
    lines = [f"{request.method} {path} HTTP/1.1", f"Host: {url.netloc}"]
    for name, value in request.headers.items():
        lowered = name.lower()
        if lowered == "accept-encoding" and encodings:
            lines.append(f"{name}: {value}")
        if lowered in skipped or lowered.startswith(_NOT_FORWARDED_PREFIXES):
            continue
        if lowered.startswith("sec-websocket"):
            if not upgrade:
                continue
            if lowered == "sec-websocket-protocol":
                value = _without_token(value)  # noqa: PLW2901
        lines.append(f"{name}: {value}")
    lines += [f"{name}: {value}" for name, value in added]
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


async def forward_body(exchange: Exchange, writer: asyncio.StreamWriter) -> None:
    """Send the client's body on, in chunks, behind the head."""
    request = exchange.request
    if request.can_read_body:
        while chunk := await request.content.readany():
            writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
    await writer.drain()


async def read_head(reader: asyncio.StreamReader) -> Head:
    """Read the head of the answer; raises OSError, IncompleteReadError, LimitOverrunError, ValueError."""
    head = await _read_one_head(reader)
    while 100 <= head.status < 200 and head.status != 101:
        head = await _read_one_head(reader)  # says only that it goes on
    return head


async def _read_one_head(reader: asyncio.StreamReader) -> Head:
    raw = await reader.readuntil(b"\r\n\r\n")
    first, *rest = raw[:-4].decode("utf-8", "surrogateescape").split("\r\n")
    status = int(first.split(" ", 2)[1])
    pairs = (line.partition(":") for line in rest)
    return Head(status=status, headers=tuple((name, value.strip()) for name, _, value in pairs), raw=raw)


async def tunnel(
    exchange: Exchange, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> web.StreamResponse:
    """Copy bytes both ways until both sides have ended, or one is broken."""
    exchange.streaming = True
    return await upgrade.tunnel(exchange.request, head.raw, reader, writer)


async def relay_page(
    exchange: Exchange, target: str, head: Head, reader: asyncio.StreamReader
) -> web.StreamResponse:
    """Send the answer of a proxied server on; links of pages and redirections lead through the proxy.

    Pages that are compressed, or bigger than 4 MiB, pass as they are.
    """
    info = exchange.info
    prefix = info.path[: len(info.path) - len(info.rest)].rstrip("/")
    page = ProxiedPage(prefix, frozenset((exchange.request.host, urlsplit(target).netloc)))
    if location := head.get("location"):
        changed = tuple(
            (name, page.rewrite_url(location) if name.lower() == "location" else value)
            for name, value in head.headers
        )
        return await relay(exchange, replace(head, headers=changed), reader)
    is_page = head.get("content-type").partition(";")[0].strip().lower() == "text/html"
    if not is_page or head.get("content-encoding") or exchange.request.method == "HEAD":
        return await relay(exchange, head, reader)
    body, rest = bytearray(), iter_body(head, reader)
    async for data in rest:
        body += data
        if len(body) > _BIGGEST_PAGE:
            return await _send(exchange, head, _chain(bytes(body), rest))
    return await _send(exchange, head, _chain(await run_sized(len(body), page.rewrite_page, bytes(body))))


async def _chain(first: bytes, rest: AsyncIterator[bytes] | None = None) -> AsyncIterator[bytes]:
    yield first
    if rest is not None:
        async for data in rest:
            yield data


async def relay(exchange: Exchange, head: Head, reader: asyncio.StreamReader) -> web.StreamResponse:
    """Send a plain answer on while it comes."""
    return await _send(exchange, head, iter_body(head, reader))


async def _send(exchange: Exchange, head: Head, body: AsyncIterator[bytes]) -> web.StreamResponse:
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
        async for data in body:
            await response.write(data)
    await response.write_eof()
    return response


async def iter_body(head: Head, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield the body of the answer as it comes."""
    if head.status in (204, 304):
        return
    if "chunked" in head.get("transfer-encoding").lower():
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            yield (await reader.readexactly(size + 2))[:-2]
        return
    length = head.get("content-length")
    left = int(length) if length else -1
    while left and (data := await reader.read(CHUNK_BYTES if left < 0 else min(left, CHUNK_BYTES))):
        left -= len(data) if left > 0 else 0
        yield data

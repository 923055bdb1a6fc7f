"""Connections that leave HTTP: the client's as a pair of streams, and the way to the runtime's streaming server.

Source: k8s.io/kubelet/pkg/cri/streaming v0.35 (what the runtime serves), k8s.io/apimachinery/pkg/util/httpstream/spdy.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aiohttp import web

from k3py.kubelet.server.errors import RequestError
from k3py.util.supervise import TaskScope
from k3py.wire.remotecommand import SPDY_UPGRADE, STREAM_VERSION_HEADER

if TYPE_CHECKING:
    from collections.abc import Sequence

CHUNK_BYTES: Final = 64 * 1024
_ANSWER_S: Final = 30.0


@dataclass(slots=True)
class RuntimeConnection:
    """An upgraded connection to the runtime's streaming server; `protocol` is what it chose, `head` its answer as it came."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    protocol: str
    head: bytes


async def connect_runtime(url: str, protocols: Sequence[str]) -> RuntimeConnection:
    """Dial a URL that the runtime gave and upgrade to SPDY/3.1.

    Raises:
        RequestError: the runtime refused; its status and text.
    """
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Connection: Upgrade",
        f"Upgrade: {SPDY_UPGRADE}",
    ]
    lines += [f"{STREAM_VERSION_HEADER}: {one}" for one in protocols]
    lines.append("Content-Length: 0")
    try:
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_connection(
                parts.hostname, parts.port or 80, limit=CHUNK_BYTES
            )
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
            head = await reader.readuntil(b"\r\n\r\n")
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise RequestError(500, f"the runtime's streaming server does not answer: {error}") from error
    first, *fields = head.decode("latin-1").split("\r\n")
    status = int(first.split(" ", 2)[1])
    if status != 101:
        body = await reader.read(CHUNK_BYTES)
        writer.close()
        raise RequestError(
            500, body.decode("utf-8", "replace") or f"the runtime refused the upgrade: {first}"
        )
    name = f"{STREAM_VERSION_HEADER.lower()}:"
    protocol = next((one[len(name) :].strip() for one in fields if one.lower().startswith(name)), "")
    return RuntimeConnection(reader, writer, protocol, head)


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


def take_over(request: web.BaseRequest) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Take a client's connection out of HTTP. Raises ConnectionResetError when it is gone."""
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client has gone")
    reader = asyncio.StreamReader(limit=CHUNK_BYTES)
    writer = asyncio.StreamWriter(transport, request.protocol, None, asyncio.get_running_loop())
    request.protocol.set_parser(_ClientBytes(reader))  # type: ignore[arg-type] # only feed_data and feed_eof are used
    return reader, writer


async def tunnel(request: web.BaseRequest, runtime: RuntimeConnection) -> web.StreamResponse:
    """Hand the runtime's answer to the client and copy bytes both ways until one side has ended."""
    reader, writer = take_over(request)
    writer.write(runtime.head)
    try:
        async with TaskScope() as scope:
            upwards = scope.spawn(copy(reader, runtime.writer), name="tunnel-to-runtime")
            await copy(runtime.reader, writer)
            upwards.cancel()
    finally:
        runtime.writer.close()
        writer.close()
    return TakenOver()


async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy until the source ends or the sink breaks."""
    try:
        while data := await source.read(CHUNK_BYTES):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
    except ConnectionError:
        return

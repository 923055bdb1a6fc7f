"""Connections that carry bytes instead of requests: copied between two pairs of streams, and taken out of HTTP after an upgrade."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from k3py.util.supervise import TaskScope

CHUNK_BYTES: Final = 64 * 1024


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


async def tunnel(
    request: web.BaseRequest, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> web.StreamResponse:
    """Hand another server's answer to an upgrade (`head`, as it came) to the client, then copy bytes both ways until one side has ended.

    Raises ConnectionResetError when the client is gone. Both connections are closed.
    """
    try:
        client_reader, client_writer = take_over(request)
        client_writer.write(head)
        await splice(client_reader, client_writer, reader, writer)
    finally:
        writer.close()
    return TakenOver()


async def splice(
    client_reader: asyncio.StreamReader,
    client_writer: asyncio.StreamWriter,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Copy bytes both ways; a client that has ended still gets the rest of the answer. Closes both."""
    try:
        async with TaskScope() as scope:
            upwards = scope.spawn(copy(client_reader, writer), name="tunnel-upwards")
            await copy(reader, client_writer)
            # The other side has ended: what the client still sends is for nobody.
            upwards.cancel()
    finally:
        writer.close()
        client_writer.close()


async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy until the source ends or one of both breaks."""
    try:
        while data := await source.read(CHUNK_BYTES):
            await send(sink, data)
        end(sink)
    except OSError:
        return


async def send(sink: asyncio.StreamWriter, data: bytes) -> None:
    """Write and wait for room. Raises OSError, also when the connection was closed here meanwhile (uvloop has a RuntimeError for that)."""
    if sink.is_closing():
        raise ConnectionResetError("closed")
    sink.write(data)
    await sink.drain()


def end(sink: asyncio.StreamWriter) -> None:
    """Say that nothing more comes, unless the connection is closed anyway or cannot say that (TLS)."""
    if not sink.is_closing() and sink.can_write_eof():
        sink.write_eof()

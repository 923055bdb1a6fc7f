"""HTTP connections: heads that come slowly, are too big or are no HTTP."""

import asyncio
import contextlib
import logging

import pytest
from aiohttp import web

from k3py.apiserver import connection
from k3py.apiserver.connection import ConnectionServer


async def hello(request):
    return web.Response(text=(await request.read()).decode() or "hello")


@contextlib.asynccontextmanager
async def served(handler=hello):
    connections = ConnectionServer(handler)
    server = await asyncio.get_running_loop().create_server(connections, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.connections = connections
    try:
        yield reader, writer
    finally:
        writer.close()
        server.close()
        await connections.shutdown(1)


async def connection_of(writer):
    """Wait until the server has taken the connection."""
    while not writer.connections.connections:
        await asyncio.sleep(0)
    return writer.connections.connections


async def test_a_head_that_never_ends_is_hung_up_on(monkeypatch):
    monkeypatch.setattr(connection, "HEADER_S", 0.02)
    async with served() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHo")
        assert await reader.read() == b""


async def test_a_client_that_says_nothing_is_hung_up_on(monkeypatch):
    monkeypatch.setattr(connection, "HEADER_S", 0.02)
    async with served() as (reader, _):
        assert await reader.read() == b""


async def test_the_time_counts_for_heads_alone_and_not_between_requests():
    async with served() as (reader, writer):
        (one,) = await connection_of(writer)
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
            assert one._head_deadline is None
        writer.write(b"GET / HTTP/1.1\r\nHo")
        while one._head_deadline is None:
            await asyncio.sleep(0)
        writer.write(b"st: x\r\n\r\n")
        await reader.readuntil(b"hello")
        assert one._head_deadline is None


async def test_a_slow_body_is_not_a_slow_head():
    async with served() as (reader, writer):
        (one,) = await connection_of(writer)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
        while one._head_deadline is not None:
            await asyncio.sleep(0)
        writer.write(b"cd")
        assert (await reader.readuntil(b"abcd")).startswith(b"HTTP/1.1 200")


async def test_heads_of_many_lines_end_at_a_mebibyte(monkeypatch):
    monkeypatch.setattr(connection, "MOST_HEAD_BYTES", 10_000)
    async with served() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: %b\r\n" % (n, b"x" * 1000) for n in range(20)))
        assert await reader.read() == b""


@pytest.mark.parametrize(
    ("head", "code"),
    [(b"nonsense\r\n\r\n", b"400"), (b"GET / HTTP/1.1\r\nA: " + b"b" * 100_000 + b"\r\n\r\n", b"431"), (b"GET /\xe4 HTTP/1.1\r\n\r\n", b"400")],
)  # fmt: skip
async def test_what_is_not_http_is_the_clients_fault(head, code, caplog):
    async with served() as (reader, writer):
        writer.write(head)
        assert (await reader.read()).startswith(b"HTTP/1.0 " + code)
    assert not [one for one in caplog.records if one.levelno > logging.DEBUG]

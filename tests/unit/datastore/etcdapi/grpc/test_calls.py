"""Calls over our channel and server, and over grpclib's channel as a second opinion."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from grpclib.client import Channel as OtherChannel
from grpclib.const import Cardinality, Status
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError

from k3py.datastore.etcdapi.grpc.channel import Channel, StreamLost
from k3py.datastore.etcdapi.grpc.message import MessageBuffer, failure, timeout_s, trailers
from k3py.datastore.etcdapi.grpc.server import ServerConnection, StreamMethod, UnaryMethod
from k3py.util.supervise import TaskScope
from k3py.wire.http2 import frame as f
from k3py.wire.http2.header_block import HeaderDecoder, literals

LIMIT = 1 << 20


class Echo:
    """What the server does; notes what was cancelled."""

    def __init__(self):
        self.cancelled = asyncio.Event()
        self.begun = asyncio.Event()

    async def echo(self, message):
        return message * 2

    async def refuse(self, message):
        raise GRPCError(Status.NOT_FOUND, "no ünit: 100%")

    async def break_down(self, message):
        raise RuntimeError("a secret")

    async def hang(self, message):
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def sums(self, stream):
        total = 0
        while (message := await stream.receive()) is not None:
            total += len(message)
            await stream.send(b"%d" % total)

    async def flood(self, stream):
        _ = await stream.receive()
        for _ in range(40):
            await stream.send(bytes(LIMIT // 2))

    def methods(self):
        unary = {
            b"/echo": self.echo,
            b"/refuse": self.refuse,
            b"/break": self.break_down,
            b"/hang": self.hang,
        }
        streams = {b"/sums": self.sums, b"/flood": self.flood}
        return {
            **{path: UnaryMethod(serve) for path, serve in unary.items()},
            **{path: StreamMethod(serve) for path, serve in streams.items()},
        }


@asynccontextmanager
async def serving(echo, *, keepalive_s=60.0):
    connections = set()
    async with TaskScope() as scope:
        server = await asyncio.get_running_loop().create_server(
            lambda: ServerConnection(echo.methods(), scope, connections, LIMIT), "127.0.0.1", 0
        )
        port = server.sockets[0].getsockname()[1]
        channel = Channel("127.0.0.1", port, tls=None, keepalive_s=keepalive_s)
        try:
            yield channel, port, connections
        finally:
            await channel.close()
            server.close()
            for connection in tuple(connections):
                connection.close()
            scope.cancel()


async def refused(channel, path, message=b"x", limit_s=30):
    with pytest.raises(GRPCError) as caught:
        await channel.unary(path, message, timeout_s=limit_s)
    return caught.value.status, caught.value.message


async def test_calls_run_side_by_side_over_one_connection():
    async with serving(Echo()) as (channel, _, connections):
        async with asyncio.TaskGroup() as tasks:
            calls = [
                tasks.create_task(channel.unary("/echo", b"%d" % n * n * 100, timeout_s=30))
                for n in range(100)
            ]
        assert [await call for call in calls] == [b"%d" % n * n * 200 for n in range(100)]
        assert len(connections) == 1


async def test_failures_are_told_with_code_and_text():
    async with serving(Echo()) as (channel, _, _):
        assert await refused(channel, "/refuse") == (Status.NOT_FOUND, "no ünit: 100%")
        assert await refused(channel, "/break") == (Status.UNKNOWN, "internal error")
        assert await refused(channel, "/nowhere") == (Status.UNIMPLEMENTED, "unknown method nowhere")
        status, text = await refused(channel, "/echo", bytes(LIMIT + 1))
        assert status is Status.RESOURCE_EXHAUSTED
        assert str(LIMIT) in text
        assert await channel.unary("/echo", b"still", timeout_s=30) == b"stillstill"


async def test_a_call_that_is_given_up_is_cancelled_at_the_server():
    echo = Echo()
    async with serving(echo) as (channel, _, connections):
        with pytest.raises(TimeoutError):
            await channel.unary("/hang", b"", timeout_s=0.05)
        await asyncio.wait_for(echo.cancelled.wait(), 30)
        echo.cancelled.clear()
        task = asyncio.get_running_loop().create_task(channel.unary("/hang", b"", timeout_s=60))
        await asyncio.wait_for(echo.begun.wait(), 30)
        task.cancel()
        await asyncio.wait_for(echo.cancelled.wait(), 30)
        (connection,) = connections
        assert await channel.unary("/echo", b"a", timeout_s=30) == b"aa"
        assert connection.http2.open_streams == 0


async def test_a_time_limit_is_kept_by_the_server_too():
    async with serving(Echo()) as (_, port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = [(b":method", b"POST"), (b":path", b"/hang"), (b"content-type", b"application/grpc")]
        block = literals([*head, (b"grpc-timeout", b"10m")])
        writer.write(f.PREFACE + f.settings({}) + f.frame(f.HEADERS, f.END_HEADERS, 1, block))
        writer.write(f.frame(f.DATA, f.END_STREAM, 1, bytes(5)))
        seen = b""
        while b"grpc-status" not in seen:
            seen += await asyncio.wait_for(reader.read(65_536), 30)
        assert b"\x01%d" % Status.DEADLINE_EXCEEDED.value in seen
        writer.close()


async def test_both_sides_of_a_stream_speak_as_they_like():
    async with serving(Echo()) as (channel, _, _), channel.stream("/sums") as stream:
        await stream.send(b"abc")
        assert await stream.receive() == b"3"
        for _ in range(100):
            await stream.send(bytes(100_000))
        answers = [await stream.receive() for _ in range(100)]
        assert answers[-1] == b"10000003"


async def test_a_reader_that_takes_its_time_gets_everything():
    async with serving(Echo()) as (channel, _, _), channel.stream("/flood") as stream:
        await stream.send(b"go")
        sizes = []
        while (message := await stream.receive()) is not None:
            sizes.append(len(message))
            await asyncio.sleep(0)
        assert sizes == [LIMIT // 2] * 40


async def test_a_server_that_closes_ends_calls_and_the_channel_connects_anew():
    echo = Echo()
    async with serving(echo) as (channel, _, connections):
        call = asyncio.get_running_loop().create_task(channel.unary("/hang", b"", timeout_s=60))
        await asyncio.wait_for(echo.begun.wait(), 30)
        (connection,) = connections
        connection.close()
        with pytest.raises(StreamLost):
            await call
        await asyncio.wait_for(echo.cancelled.wait(), 30)
        assert await channel.unary("/echo", b"b", timeout_s=30) == b"bb"


async def test_a_silent_server_is_given_up(monkeypatch):
    monkeypatch.setattr("k3py.datastore.etcdapi.grpc.channel.PONG_S", 0.01)
    asked, gone = asyncio.Event(), asyncio.Event()

    async def take(reader, writer):
        await reader.readuntil(f.frame(f.PING, 0, 0, bytes(8)))
        asked.set()
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        gone.set()

    silent = await asyncio.start_server(take, "127.0.0.1", 0)
    channel = Channel("127.0.0.1", silent.sockets[0].getsockname()[1], tls=None, keepalive_s=0.01)
    with pytest.raises(StreamLost):
        await channel.unary("/echo", b"", timeout_s=60)
    await channel.close()
    silent.close()
    await asyncio.wait_for(gone.wait(), 30)
    assert asked.is_set()


async def test_what_is_no_grpc_and_what_has_no_request_is_refused():
    async with serving(Echo()) as (_, port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        plain = literals([(b":method", b"GET"), (b":path", b"/echo")])
        empty = literals([(b":path", b"/echo"), (b"content-type", b"application/grpc")])
        writer.write(f.PREFACE + f.settings({}))
        writer.write(f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 1, plain))
        writer.write(f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 3, empty))
        writer.write(b"\0\0\0\x63\0\0\0\0\0" + f.frame(f.PING, 0, 0, b"short"))
        seen = await asyncio.wait_for(reader.read(), 30)
        assert b"415" in seen
        assert b"the call has no request" in seen
        assert b"PING of a wrong length" in seen
        writer.close()


class Raw(CodecBase):
    __content_subtype__ = "proto"

    def encode(self, message, message_type):
        return message

    def decode(self, data, message_type):
        return data


async def asked(other, path, message):
    async with other.request(path, Cardinality.UNARY_UNARY, bytes, bytes, timeout=30) as stream:
        await stream.send_message(message, end=True)
        return await stream.recv_message()


async def test_another_implementation_understands_the_server():
    async with serving(Echo()) as (_, port, _):
        other = OtherChannel("127.0.0.1", port, codec=Raw())
        assert await asked(other, "/echo", bytes(300_000)) == bytes(600_000)
        with pytest.raises(GRPCError, match="100%"):
            await asked(other, "/refuse", b"x")
        async with other.request("/sums", Cardinality.STREAM_STREAM, bytes, bytes) as stream:
            for size in (1, 2):
                await stream.send_message(bytes(size), end=size == 2)
            assert [await stream.recv_message() for _ in range(3)] == [b"1", b"3", None]
        other.close()


def test_messages_may_be_cut_anywhere():
    data = b"".join(b"\0\0\0\0" + bytes([size]) + b"x" * size for size in (0, 3, 200))
    for step in (1, 4, 7, 500):
        buffer = MessageBuffer(1000)
        parts = [buffer.feed(data[at : at + step]) for at in range(0, len(data), step)]
        assert [len(message) for part in parts for message in part] == [0, 3, 200]


def test_compressed_messages_are_refused():
    with pytest.raises(GRPCError) as caught:
        MessageBuffer(1000).feed(b"\x01\0\0\0\x01x")
    assert caught.value.status is Status.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("text", "seconds"), [(b"5S", 5.0), (b"250m", 0.25), (b"2H", 7200.0), (b"xS", None), (b"5", None)]
)
def test_time_limits_have_units(text, seconds):
    assert timeout_s([(b"grpc-timeout", text)]) == seconds


def test_a_status_comes_back_as_it_was_sent():
    headers = HeaderDecoder().decode(trailers(GRPCError(Status.DATA_LOSS, "a\nb %41 ü")))
    error = failure(headers)
    assert (error.status, error.message) == (Status.DATA_LOSS, "a\nb %41 ü")
    assert failure([(b"grpc-status", b"0")]) is None
    assert failure([(b"grpc-status", b"99")]).status is Status.UNKNOWN
    assert failure([]).status is Status.UNKNOWN

"""WebSocket clients on a runtime that speaks SPDY."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import orjson
import pytest
from aiohttp import web

from k3py.kubelet.server.errors import RequestError
from k3py.kubelet.server.translator import serve_websocket
from k3py.wire.remotecommand import make_exit_status, make_success
from k3py.wire.spdy import DataReceived, SpdyConnection, StreamOpened


class StreamingServer:
    """What a runtime does for `cat`: echoes stdin until its end, then says how it ended."""

    def __init__(self, status: bytes = make_success(), refuse: bool = False) -> None:
        self.status = status
        self.refuse = refuse
        self.resizes: list[bytes] = []

    async def __call__(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Upgrade: SPDY/3.1" in head
        if self.refuse:
            writer.write(b"HTTP/1.1 404 Not Found\r\n\r\nno such container")
            writer.close()
            return
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n"
        )
        spdy, names = SpdyConnection(client=False), {}
        while data := await reader.read(65536):
            for event in spdy.receive(data):
                if isinstance(event, StreamOpened):
                    names[event.stream_id] = event.headers["streamtype"]
                    spdy.accept_stream(event.stream_id)
                elif isinstance(event, DataReceived):
                    self.on_data(
                        spdy, {name: one for one, name in names.items()}, names[event.stream_id], event
                    )
            writer.write(spdy.take_output())
        writer.close()

    def on_data(self, spdy, ids, name, event):
        if name == "resize":
            self.resizes.append(event.data)
        if name == "stdin":
            spdy.send_data(ids["stdout"], event.data, fin=event.fin)
            if event.fin:
                spdy.send_data(ids["error"], self.status, fin=True)


@asynccontextmanager
async def client(runtime, *, tty=False):
    backend = await asyncio.start_server(runtime, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{backend.sockets[0].getsockname()[1]}/exec/token"

    async def handle(request):
        try:
            return await serve_websocket(request, url, stdin=True, stdout=True, stderr=False, tty=tty)
        except RequestError as error:
            return web.Response(status=error.status, text=str(error))

    server = web.Server(handle)
    front = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    async with backend, front, aiohttp.ClientSession() as session:
        yield session, f"http://127.0.0.1:{front.sockets[0].getsockname()[1]}/"
        await server.shutdown(0.1)


async def test_the_end_of_standard_input_reaches_the_process_in_v5():
    async with (
        client(StreamingServer()) as (session, url),
        session.ws_connect(url, protocols=["v5.channel.k8s.io"]) as socket,
    ):
        await socket.send_bytes(b"\x00hello")
        assert (await socket.receive()).data == b"\x01hello"
        await socket.send_bytes(b"\xff\x00")
        assert orjson.loads((await socket.receive()).data[1:])["status"] == "Success"
        assert (await socket.receive()).type == aiohttp.WSMsgType.CLOSE
        assert socket.protocol == "v5.channel.k8s.io"


async def test_an_exit_code_comes_as_a_status():
    runtime = StreamingServer(orjson.dumps(make_exit_status(3)))
    async with (
        client(runtime) as (session, url),
        session.ws_connect(url, protocols=["v5.channel.k8s.io"]) as socket,
    ):
        await socket.send_bytes(b"\xff\x00")
        message = await socket.receive()
        assert message.data[0] == 3
        assert orjson.loads(message.data[1:])["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


async def test_resizes_are_passed_on_and_base64_clients_served():
    runtime = StreamingServer()
    async with (
        client(runtime, tty=True) as (session, url),
        session.ws_connect(url, protocols=["v4.base64.channel.k8s.io"]) as socket,
    ):
        await socket.send_str("4eyJXaWR0aCI6MX0=")
        await socket.send_str("0aGk=")
        assert (await socket.receive()).data == "1aGk="
        assert runtime.resizes == [b'{"Width":1}']


async def test_a_client_that_leaves_ends_the_stream_to_the_runtime():
    ended = asyncio.Event()

    class Watching(StreamingServer):
        async def __call__(self, reader, writer):
            await super().__call__(reader, writer)
            ended.set()

    async with client(Watching()) as (session, url):
        socket = await session.ws_connect(url, protocols=["v5.channel.k8s.io"])
        await socket.close()
        async with asyncio.timeout(2):
            await ended.wait()


async def test_a_refusal_of_the_runtime_is_an_http_answer():
    async with client(StreamingServer(refuse=True)) as (session, url):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(url, protocols=["v5.channel.k8s.io"])
        assert caught.value.status == 500

"""Who may open a tunnel to a server, and which of a node's tunnels is used."""

import asyncio
import socket

import aiohttp
import pytest
from aiohttp import web

from k3py.api.status import ApiError
from k3py.api.user import MASTERS, User
from k3py.cluster.tunnel.gateway import MOST_OF_A_NODE, TunnelGateway

NODE = User(name="system:node:n2", groups=("system:nodes",))


class World:
    """A gateway on loopback; whoever comes is `user`."""

    def __init__(self):
        self.gateway = TunnelGateway()
        self.user = NODE
        self.url = ""

    async def handle(self, request):
        try:
            return await self.gateway.serve(request, self.user)
        except ApiError as error:
            return web.Response(status=error.code, text=error.message)


@pytest.fixture
async def world():
    world = World()
    server = web.Server(world.handle)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    world.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    async with aiohttp.ClientSession() as world.http:
        yield world
    listener.close()
    await server.shutdown(1.0)


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.mark.parametrize(
    "user",
    [
        User(name="alice", groups=("system:authenticated",)),
        User(name="admin", groups=(MASTERS,)),
        User(name="alice", groups=("system:nodes",)),
        User(name="system:node:n2", groups=()),
    ],
)
async def test_nobody_but_a_node_opens_a_tunnel(world, user):
    world.user = user
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await world.http.ws_connect(world.url)
    assert caught.value.status == 403
    assert world.gateway.count() == 0


async def test_a_plain_request_is_refused(world):
    async with world.http.get(world.url) as response:
        assert response.status == 400


async def test_the_newest_tunnel_of_a_node_is_used_and_those_that_ended_are_forgotten(world):
    gateway = world.gateway
    assert gateway.find("n2") is None
    older = await world.http.ws_connect(world.url)
    await until(lambda: gateway.count() == 1)
    first = gateway.find("n2")
    newer = await world.http.ws_connect(world.url)
    await until(lambda: gateway.count() == 2)
    assert gateway.find("n2") is not first
    assert gateway.find("n1") is None
    await newer.close()
    await until(lambda: gateway.count() == 1)
    assert gateway.find("n2") is first
    await older.close()
    await until(lambda: gateway.count() == 0)
    assert gateway.find("n2") is None


async def test_a_node_has_only_so_many(world):
    opened = [await world.http.ws_connect(world.url) for _ in range(MOST_OF_A_NODE)]
    await until(lambda: world.gateway.count() == MOST_OF_A_NODE)
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await world.http.ws_connect(world.url)
    assert caught.value.status == 429
    for one in opened:
        await one.close()


async def test_a_tunnel_that_says_nothing_for_long_is_ended(world, monkeypatch):
    monkeypatch.setattr("k3py.cluster.tunnel.gateway.SILENCE_S", 0.02)
    # Without a client library that would answer pings and closes: somebody whose line is dead.
    port = int(world.url.rsplit(":", 1)[1].strip("/"))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    await until(lambda: world.gateway.count() == 0)
    writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
    writer.close()

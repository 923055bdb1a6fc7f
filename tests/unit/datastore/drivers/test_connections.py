from __future__ import annotations

import asyncio

import pytest

from k3py.datastore.drivers.connections import Connections
from k3py.datastore.errors import Unavailable


class FakeConnection:
    def __init__(self):
        self.is_usable = True
        self.aborted = False

    def abort(self):
        self.aborted = True
        self.is_usable = False


class FakeServer:
    def __init__(self):
        self.made = []
        self.attempts = 0
        self.is_up = True

    async def connect(self):
        self.attempts += 1
        if not self.is_up:
            raise Unavailable("no server")
        self.made.append(FakeConnection())
        return self.made[-1]


@pytest.fixture
def server():
    return FakeServer()


async def use(connections):
    async with connections.take() as connection:
        return connection


async def test_a_connection_is_used_again(server):
    connections = Connections(server.connect)
    assert await use(connections) is await use(connections)
    assert len(server.made) == 1


async def test_a_broken_connection_is_thrown_away(server):
    connections = Connections(server.connect)
    async with connections.take() as connection:
        connection.is_usable = False
    assert server.made[0].aborted
    assert await use(connections) is server.made[1]


async def test_a_connection_that_broke_while_idle_is_not_given_out(server):
    connections = Connections(server.connect)
    (await use(connections)).is_usable = False
    assert (await use(connections)).is_usable


async def test_there_are_never_more_than_the_limit(server):
    connections = Connections(server.connect, limit=2)
    async with connections.take(), connections.take():
        third = asyncio.ensure_future(use(connections))
        await asyncio.sleep(0)
        assert not third.done()
    assert await third in server.made
    assert len(server.made) == 2


async def test_while_the_server_is_away_only_one_attempt_is_made_per_pause(server):
    server.is_up = False
    connections = Connections(server.connect)
    for _ in range(10):
        with pytest.raises(Unavailable, match="no server"):
            await use(connections)
    assert server.attempts == 1
    server.is_up = True
    await asyncio.sleep(0.06)
    assert (await use(connections)).is_usable
    assert (await use(connections)).is_usable


async def test_closing_closes_idle_connections_and_the_others_when_they_come_back(server):
    connections = Connections(server.connect)
    async with connections.take() as busy:
        idle = await use(connections)
        connections.close()
        assert (idle.aborted, busy.aborted) == (True, False)
    assert busy.aborted
    with pytest.raises(Unavailable, match="closed"):
        await use(connections)

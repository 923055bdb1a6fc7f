"""The agent's load balancer: a server that answers is found, one that is gone is left, connections to it are closed, the list changes."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest

from k3py.cluster.load_balancer import LoadBalancer
from k3py.cluster.server_list import ServerList
from k3py.errors import ConfigError
from tests.support.tunnels import listening

pytestmark = pytest.mark.timeout(60)


def greeter(name):
    async def handle(reader, writer):
        writer.write(name)
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    return handle


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@asynccontextmanager
async def balanced(folder, join, *learned):
    servers = ServerList(folder / "servers.json", f"https://127.0.0.1:{join}")
    await servers.learn(f"127.0.0.1:{port}" for port in learned)
    balancer = LoadBalancer(servers, port=0)
    async with balancer.listening():
        yield servers, balancer


async def ask(balancer):
    return await asyncio.open_connection("127.0.0.1", balancer.port)


async def answer(balancer):
    reader, writer = await ask(balancer)
    try:
        return await reader.read(1)
    finally:
        writer.close()


async def ends(reader):
    """Wait for the end of a connection, by a reset or not."""
    try:
        return not await reader.read(1)
    except ConnectionError:
        return True


async def test_bytes_go_through_to_the_address_to_join(tmp_path):
    async with listening(greeter(b"a")) as port, balanced(tmp_path, port) as (_, balancer):
        reader, writer = await ask(balancer)
        writer.write(b"hello")
        assert await reader.readexactly(6) == b"ahello"
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        assert balancer.url == f"https://127.0.0.1:{balancer.port}"


async def test_a_server_that_is_gone_for_good_is_left_for_one_that_answers(tmp_path):
    async with listening(greeter(b"b")) as other, balanced(tmp_path, free_port(), free_port(), other) as (_, balancer):
        assert [await answer(balancer) for _ in range(4)] == [b"b"] * 4
        assert balancer.order()[0] == f"127.0.0.1:{other}"


async def test_when_no_server_answers_the_connection_ends_and_the_reason_is_known(tmp_path):
    join, learned = free_port(), free_port()
    async with balanced(tmp_path, join, learned) as (_, balancer):
        assert await answer(balancer) == b""
        assert f"127.0.0.1:{join}: " in balancer.fault
        assert f"127.0.0.1:{learned}: " in balancer.fault
        async with asyncio.timeout(30):
            server = await asyncio.start_server(greeter(b"a"), "127.0.0.1", join)
            assert await answer(balancer) == b"a"
        assert balancer.fault == ""
        server.close()


async def test_connections_of_a_server_that_is_unwell_are_closed_and_go_elsewhere(tmp_path):
    async with listening(greeter(b"a")) as first, listening(greeter(b"b")) as second:
        async with balanced(tmp_path, first, first, second) as (_, balancer):
            reader, writer = await ask(balancer)
            name = await reader.read(1)
            unwell, well = (first, second) if name == b"a" else (second, first)
            balancer.mark_good(f"127.0.0.1:{well}")
            writer.write(b"x")
            assert await reader.read(1) == b"x", "what goes well is left alone"
            balancer.mark_bad(f"127.0.0.1:{unwell}")
            assert await ends(reader)
            writer.close()
            assert await answer(balancer) != name
            assert balancer.order() == [f"127.0.0.1:{well}", f"127.0.0.1:{unwell}"]


async def test_connections_to_a_server_that_left_the_list_are_closed(tmp_path):
    async with listening(greeter(b"a")) as first, listening(greeter(b"b")) as second:
        async with balanced(tmp_path, second, first) as (servers, balancer):
            reader, writer = await ask(balancer)
            assert await reader.read(1) == b"a"
            await servers.learn([f"127.0.0.1:{second}"])
            assert await ends(reader)
            writer.close()
            assert await answer(balancer) == b"b"


async def test_when_this_machine_moves_all_connections_are_closed(tmp_path):
    async with listening(greeter(b"a")) as port, balanced(tmp_path, port) as (_, balancer):
        reader, writer = await ask(balancer)
        assert await reader.read(1) == b"a"
        balancer.close_all()
        assert await ends(reader)
        writer.close()
        assert await answer(balancer) == b"a"


async def test_a_server_that_cannot_be_dialled_is_told(tmp_path):
    gone = free_port()
    async with listening(greeter(b"a")) as port, balanced(tmp_path, port, gone) as (_, balancer):
        told = []
        balancer.on_bad(told.append)
        assert await answer(balancer) == b"a"
        assert told == [f"127.0.0.1:{gone}"]


async def test_what_went_over_the_address_to_join_comes_home_when_a_server_is_known_to_be_well(tmp_path):
    async with listening(greeter(b"j")) as join, listening(greeter(b"a")) as first:
        async with balanced(tmp_path, join) as (servers, balancer):
            reader, writer = await ask(balancer)
            assert await reader.read(1) == b"j"
            await servers.learn([f"127.0.0.1:{first}"])
            writer.write(b"x")
            assert await reader.read(1) == b"x", "the new server may not be reachable at all"
            balancer.mark_good(f"127.0.0.1:{first}")
            assert await ends(reader)
            writer.close()
            assert await answer(balancer) == b"a"


async def test_a_port_that_is_taken_is_an_error_that_names_the_flag(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        balancer = LoadBalancer(ServerList(tmp_path / "s", "https://127.0.0.1:1"), port=taken.getsockname()[1])
        with pytest.raises(ConfigError, match="--lb-server-port"):
            async with balancer.listening():
                pass

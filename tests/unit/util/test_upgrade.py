"""Bytes between two connections: both directions, the rest of the answer after the client's end, and ends that are told on."""

import asyncio

from k3py.util.supervise import TaskScope
from k3py.util.upgrade import copy, splice


async def make_pair():
    """Two connected pairs of streams on loopback: (client's end), (our end)."""
    accepted = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(lambda reader, writer: accepted.set_result((reader, writer)), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    ends = await asyncio.open_connection("127.0.0.1", port), await accepted
    server.close()
    return ends


async def test_bytes_go_both_ways_and_a_client_that_has_ended_gets_the_rest():
    (reader, writer), ours = await make_pair()
    (far_reader, far_writer), theirs = await make_pair()
    async with asyncio.timeout(30), TaskScope() as scope:
        spliced = scope.spawn(splice(*ours, *theirs), name="splice")
        writer.write(b"ask")
        writer.write_eof()
        assert await far_reader.read() == b"ask"
        far_writer.write(b"answer")
        far_writer.close()
        assert await reader.read() == b"answer"
        await spliced
    assert ours[1].is_closing()
    assert theirs[1].is_closing()
    writer.close()


async def test_the_end_of_the_other_side_ends_a_client_that_is_silent():
    (reader, writer), ours = await make_pair()
    (_, far_writer), theirs = await make_pair()
    async with asyncio.timeout(30), TaskScope() as scope:
        scope.spawn(splice(*ours, *theirs), name="splice")
        far_writer.close()
        assert await reader.read() == b""
    writer.close()


async def test_a_broken_source_ends_the_copy():
    source = asyncio.StreamReader()
    source.set_exception(TimeoutError("110"))  # not a ConnectionError
    (_, writer), ours = await make_pair()
    await copy(source, ours[1])
    writer.close()
    ours[1].close()

"""A tunnel carries many connections: each with its own window and its own end, none waiting for another."""

import asyncio

import pytest

from k3py.wire.tunnel import (
    CHUNK_BYTES,
    WINDOW_BYTES,
    FrameKind,
    TunnelError,
    decode_frame,
    encode_frame,
    encode_text,
)
from tests.support.tunnels import listening, tunnel

pytestmark = pytest.mark.timeout(60)


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def connect(session, port):
    return await asyncio.open_unix_connection(sock=await session.connect(f"127.0.0.1:{port}"))


async def test_bytes_go_both_ways_and_ends_are_told():
    async with listening(echo) as port, tunnel() as ends:
        reader, writer = await connect(ends.session, port)
        sent = bytes(range(256)) * 4096  # four windows
        writer.write(sent)
        writer.write_eof()
        assert await reader.read() == sent
        writer.close()


async def test_a_target_that_is_refused_or_not_there_is_an_error():
    async with tunnel() as ends:
        with pytest.raises(OSError, match="must not be dialled"):
            await ends.session.connect("refused:1")
        with pytest.raises(OSError, match="1"):
            await ends.session.connect("127.0.0.1:1")


async def test_a_stream_that_nobody_reads_holds_up_neither_others_nor_memory():
    written = 0

    async def flood(reader, writer):
        nonlocal written
        try:
            while True:
                writer.write(b"x" * CHUNK_BYTES)
                await writer.drain()
                written += CHUNK_BYTES
        except ConnectionError:
            writer.close()

    async with listening(flood) as flooding, listening(echo) as echoing, tunnel() as ends:
        slow = await connect(ends.session, flooding)
        quick_reader, quick_writer = await connect(ends.session, echoing)
        for round_ in range(50):
            quick_writer.write(b"%d" % round_)
            assert await quick_reader.read(100) == b"%d" % round_
        stalled_at = -1
        while not (kept := [one._waiting for one in ends.session._streams.values() if one._waiting]) or stalled_at != written:
            stalled_at = written
            for _ in range(20):
                quick_writer.write(b"y")
                await quick_reader.readexactly(1)
        assert max(kept) <= WINDOW_BYTES
        assert await slow[0].read(CHUNK_BYTES)
        slow[1].close()
        quick_writer.close()


async def test_the_end_of_the_tunnel_breaks_what_goes_through_it():
    async with listening(echo) as port, tunnel() as ends:
        reader, writer = await connect(ends.session, port)
        writer.write(b"a")
        assert await reader.readexactly(1) == b"a"
        await ends.websocket.close()
        assert await reader.read() == b""
        writer.close()
        with pytest.raises(OSError, match="has ended"):
            await ends.session.connect(f"127.0.0.1:{port}")


async def test_who_waits_for_a_dial_learns_of_the_tunnels_end():
    async with tunnel(dial=None) as ends:
        waiting = asyncio.ensure_future(ends.session.connect("127.0.0.1:1"))
        assert decode_frame((await ends.websocket.receive()).data).kind is FrameKind.OPEN
        await ends.websocket.close()
        with pytest.raises(ConnectionResetError):
            await waiting


async def test_a_dial_that_is_given_up_is_taken_back():
    async with tunnel(dial=None) as ends:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await ends.session.connect("127.0.0.1:1")
        kinds = [decode_frame((await ends.websocket.receive()).data).kind for _ in range(2)]
        assert kinds == [FrameKind.OPEN, FrameKind.RESET]


async def overrun(websocket):
    await websocket.send_bytes(encode_frame(FrameKind.OPENED, 1))
    for _ in range(WINDOW_BYTES // CHUNK_BYTES + 1):
        await websocket.send_bytes(encode_frame(FrameKind.DATA, 1, b"x" * CHUNK_BYTES))


async def open_from_the_wrong_side(websocket):
    await websocket.send_bytes(encode_text(FrameKind.OPEN, 9, "127.0.0.1:6443"))


async def send_text(websocket):
    await websocket.send_str("hello")


@pytest.mark.parametrize("misdeed", [overrun, open_from_the_wrong_side, send_text])
async def test_an_agent_that_breaks_the_rules_loses_its_tunnel(misdeed):
    async with tunnel(dial=None) as ends:
        waiting = asyncio.ensure_future(ends.session.connect("127.0.0.1:1"))
        await ends.websocket.receive()
        await misdeed(ends.websocket)
        while not ends.faults:
            await asyncio.sleep(0.005)
        assert isinstance(ends.faults[0], TunnelError)
        (await asyncio.gather(waiting, return_exceptions=True))[0]
        if not waiting.exception():
            waiting.result().close()

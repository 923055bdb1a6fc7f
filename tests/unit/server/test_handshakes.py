"""Handshakes that never end keep nobody else out, and a storm of them is bounded."""

import asyncio
import contextlib
import ssl

import pytest

from k3py.pki.authority import LeafRequest, make_authority, make_key, sign_leaf
from k3py.server import handshakes
from k3py.server.listener import Listener, ServingCertificate
from k3py.util.supervise import TaskScope
from tests.unit.server.test_listener import hello


@pytest.fixture
async def server(tmp_path):
    authority, key = make_authority("test"), make_key()
    request = LeafRequest(common_name="server", names=("127.0.0.1",), usage="server")
    (tmp_path / "ca").write_bytes(authority.certificate)
    (tmp_path / "crt").write_bytes(sign_leaf(authority, request, key=key))
    (tmp_path / "key").write_bytes(key)
    tls = ServingCertificate(certificate=tmp_path / "crt", key=tmp_path / "key")
    listener = Listener(hello, drain=lambda: None, host="127.0.0.1", port=0, tls=tls)
    listener.client = ssl.create_default_context(cafile=tmp_path / "ca")
    ready = asyncio.Event()
    async with TaskScope() as scope:
        _ = scope.spawn(listener.run(ready.set), name="listener")
        await ready.wait()
        yield listener
        scope.cancel()


async def connect(server, address="127.0.0.1", *, tls=True):
    async with asyncio.timeout(50):
        return await asyncio.open_connection(
            "127.0.0.1", server.port, local_addr=(address, 0), ssl=server.client if tls else None
        )


async def test_half_open_handshakes_of_one_address_leave_places_for_others(server):
    silent = [await connect(server, tls=False) for _ in range(handshakes.MOST_OF_ONE + 5)]
    _, writer = await connect(server, "127.0.0.2")  # while the first address waits for its turn
    writer.close()
    for _, one in silent:
        one.close()


async def test_who_behaves_gets_a_place_when_others_time_is_over(server, monkeypatch):
    monkeypatch.setattr(handshakes, "HANDSHAKE_S", 0.05)
    silent = [await connect(server, tls=False) for _ in range(handshakes.MOST_OF_ONE)]
    _, writer = await connect(server)
    writer.close()
    for reader, one in silent:
        async with asyncio.timeout(50):
            assert await reader.read() == b""  # the server has hung up
        one.close()


async def test_what_is_too_much_is_hung_up_on_at_once(server, monkeypatch):
    monkeypatch.setattr(handshakes, "MOST_WAITING_OF_ONE", 3)
    silent = [await connect(server, tls=False) for _ in range(3)]
    reader, one = await connect(server, tls=False)
    async with asyncio.timeout(50):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    _, writer = await connect(server, "127.0.0.2")
    for each in (one, writer, *(writer for _, writer in silent)):
        each.close()

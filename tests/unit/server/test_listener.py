"""The TLS listener: certificates, drain and a taken port."""

from __future__ import annotations

import asyncio
import socket
import ssl

import aiohttp
import pytest
from aiohttp import web

from k3py.errors import ConfigError
from k3py.pki.authority import LeafRequest, make_authority, make_key, sign_leaf
from k3py.server.listener import Listener, ServingCertificate


async def hello(request: web.BaseRequest) -> web.Response:
    certificate = request.protocol.peer_certificate
    return web.Response(text="anonymous" if not certificate else "known")


class Pki:
    def __init__(self, folder):
        self.folder = folder
        self.authority = make_authority("test")
        self.write("ca.crt", self.authority.certificate)
        self.issue("server", LeafRequest(common_name="server", names=("127.0.0.1",), usage="server"))
        self.issue("client", LeafRequest(common_name="client"))

    def write(self, name, data):
        (self.folder / name).write_bytes(data)

    def issue(self, name, request):
        key = make_key()
        self.write(f"{name}.key", key)
        self.write(f"{name}.crt", sign_leaf(self.authority, request, key=key))

    def serving(self):
        return ServingCertificate(
            certificate=self.folder / "server.crt",
            key=self.folder / "server.key",
            client_ca=self.folder / "ca.crt",
        )

    def client(self, *, certificate=False):
        context = ssl.create_default_context(cafile=self.folder / "ca.crt")
        if certificate:
            context.load_cert_chain(self.folder / "client.crt", self.folder / "client.key")
        return context


@pytest.fixture
def pki(tmp_path):
    return Pki(tmp_path)


async def run_listener(listener):
    ready = asyncio.Event()
    task = asyncio.create_task(listener.run(ready.set))
    waiter = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiter], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        waiter.cancel()
        task.result()
    return task


async def stop(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(("certificate", "text"), [(True, "known"), (False, "anonymous")])
async def test_client_certificates_are_optional(pki, certificate, text):
    listener = Listener(hello, drain=lambda: None, host="127.0.0.1", port=0, tls=pki.serving())
    task = await run_listener(listener)
    async with aiohttp.ClientSession() as session:
        url = f"https://127.0.0.1:{listener.port}/"
        for _ in range(2):  # the second request finds the connection's certificate remembered
            async with session.get(url, ssl=pki.client(certificate=certificate)) as answer:
                assert await answer.text() == text
    await stop(task)


async def test_a_taken_port_names_the_flag(pki):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        listener = Listener(hello, drain=lambda: None, host="127.0.0.1", port=port, tls=pki.serving())
        with pytest.raises(ConfigError, match=f"--https-listen-port={port}.*in use"):
            await listener.run(lambda: None)


async def test_a_renewed_certificate_serves_new_connections(pki):
    tls = pki.serving()
    listener = Listener(hello, drain=lambda: None, host="127.0.0.1", port=0, tls=tls)
    task = await run_listener(listener)
    serials = []
    for _ in range(2):
        _reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, ssl=pki.client())
        serials.append(writer.get_extra_info("ssl_object").getpeercert()["serialNumber"])
        writer.close()
        pki.issue("server", LeafRequest(common_name="server", names=("127.0.0.1",), usage="server"))
        tls.reload()
    assert serials[0] != serials[1]
    await stop(task)


async def test_stopping_lets_running_requests_finish_and_drains_long_ones(pki):
    drained = asyncio.Event()
    began = asyncio.Event()

    async def long(request: web.BaseRequest) -> web.Response:
        began.set()
        await drained.wait()
        return web.Response(text="whole")

    listener = Listener(long, drain=drained.set, host="127.0.0.1", port=0, tls=pki.serving())
    task = await run_listener(listener)
    async with aiohttp.ClientSession() as session:

        async def ask():
            async with session.get(f"https://127.0.0.1:{listener.port}/", ssl=pki.client()) as answer:
                return await answer.text()

        asked = asyncio.create_task(ask())
        await began.wait()
        await stop(task)
        assert await asked == "whole"

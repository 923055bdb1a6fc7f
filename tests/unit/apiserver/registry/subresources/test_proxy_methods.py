"""pods/proxy and services/proxy over HTTP: every method, bodies, paths and queries; which addresses are not gone to."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from tests.support.api_server import run_api_server

POD = "/api/v1/namespaces/default/pods"


class Redirector:
    """Leads every target to one local port; remembers the targets."""

    def __init__(self):
        self.port = 0
        self.targets = []

    async def connect(self, target, *, is_kubelet=True):
        self.targets.append(target)
        return await asyncio.open_connection("127.0.0.1", self.port)


async def echo(request):
    body = await request.read()
    headers = {"X-Method": request.method, "X-Path": request.raw_path, "X-User": request.headers.get("Authorization", "none")}
    return web.Response(body=body, status=202, headers=headers)


@asynccontextmanager
async def run_pod(tmp_path, address="192.0.2.9"):
    redirector = Redirector()
    server = web.Server(echo, access_log=None)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    redirector.port = listener.sockets[0].getsockname()[1]
    try:
        async with run_api_server(tmp_path, kubelet_connector=redirector) as api:
            context = ssl.create_default_context(cafile=tmp_path / "ca.crt")
            context.load_cert_chain(tmp_path / "admin.crt", tmp_path / "admin.key")
            async with aiohttp.ClientSession(api.url, connector=aiohttp.TCPConnector(ssl=context)) as session:
                await prepare(session, address)
                yield session, redirector
    finally:
        listener.close()
        await server.shutdown(1)


async def prepare(session, address):
    async with session.post("/api/v1/namespaces/default/serviceaccounts", json={"metadata": {"name": "default"}}) as answer:
        assert answer.status in (201, 409)
    container = {"name": "c", "image": "i", "ports": [{"containerPort": 8080}]}
    async with session.post(POD, json={"metadata": {"name": "p"}, "spec": {"containers": [container]}}) as answer:
        assert answer.status == 201, await answer.text()
    headers = {"Content-Type": "application/merge-patch+json"}
    status = {"status": {"podIP": address, "podIPs": [{"ip": address}]}}
    async with session.patch(f"{POD}/p/status", json=status, headers=headers) as answer:
        assert answer.status == 200, await answer.text()


async def test_every_method_reaches_the_pod(tmp_path):
    async with run_pod(tmp_path) as (session, redirector):
        for method in ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"):
            body = b"" if method in ("GET", "HEAD") else method.encode()
            url = f"{POD}/p/proxy/some/path%2Fwith/slash/?a=1&a=2"
            async with session.request(method, url, data=body, allow_redirects=False) as answer:
                assert answer.status == 202, (method, await answer.text())
                assert answer.headers["X-Method"] == method
                assert answer.headers["X-User"] == "none"
                assert await answer.read() == body
        assert set(redirector.targets) == {"http://192.0.2.9:8080/some/path%2Fwith/slash/?a=1&a=2"}


async def test_readers_are_sent_to_the_path_with_a_slash(tmp_path):
    async with run_pod(tmp_path) as (session, _):
        for method in ("GET", "HEAD"):
            async with session.request(method, f"{POD}/p/proxy?q=1", allow_redirects=False) as answer:
                assert (answer.status, answer.headers["Location"]) == (301, f"{POD}/p/proxy/?q=1")
        async with session.post(f"{POD}/p/proxy", data=b"x", allow_redirects=False) as answer:
            assert answer.status == 202


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "224.0.0.1"])
async def test_addresses_of_this_machine_are_not_gone_to(tmp_path, address):
    async with run_pod(tmp_path, address) as (session, redirector):
        async with session.get(f"{POD}/p/proxy/") as answer:
            assert answer.status == 400
            assert (await answer.json())["message"] == "address not allowed"
        assert redirector.targets == []

"""Logs and upgraded connections pass through to a kubelet."""

from __future__ import annotations

import asyncio
import base64
import ssl
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
import pytest
import yarl
from aiohttp import web

from k3py.apiserver.kubelet_dialer import KubeletDialer
from k3py.pki.authority import LeafRequest, make_authority, make_key, sign_leaf
from tests.support.http_face import run_http_face

LOG = "/api/v1/namespaces/default/pods/p/log"
PROXY = "/api/v1/namespaces/default/pods/p/proxy"
EXEC = "/api/v1/namespaces/default/pods/p/exec"


class PlainConnector:
    """Dials without TLS."""

    async def connect(self, target: str, *, is_kubelet: bool = True) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        url = urlsplit(target)
        return await asyncio.open_connection(url.hostname, url.port)


@asynccontextmanager
async def run_kubelet(handle):
    server = web.Server(handle, access_log=None)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        await server.shutdown(1)


async def test_log_is_streamed_without_the_client_credential():
    seen = {}

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        seen.update(request.headers, path=request.raw_path)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"one\n")
        await response.write(b"two\n")
        return response

    async with run_kubelet(handle) as url, run_http_face(kubelet_connector=PlainConnector()) as face:
        face.dispatcher.target = f"{url}/containerLogs/default/p/c?follow=true"
        async with face.session.get(LOG) as answer:
            assert answer.headers["Content-Type"] == "text/plain"
            assert await answer.text() == "one\ntwo\n"
    assert seen["path"] == "/containerLogs/default/p/c?follow=true"
    assert "Authorization" not in seen


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        (400, "BadRequest", "container has no logs"),
        (404, "NotFound", "the server could not find the requested resource ( pods p)"),
        (500, "InternalError", "Internal error occurred: container has no logs"),
    ],
)
async def test_what_a_kubelet_says_instead_of_a_log_becomes_a_status(status, reason, message):
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status, text="container has no logs")

    async with run_kubelet(handle) as url, run_http_face(kubelet_connector=PlainConnector()) as face:
        face.dispatcher.target = f"{url}/log"
        async with face.session.get(LOG) as answer:
            assert answer.status == status
            found = await answer.json()
    assert (found["kind"], found["reason"], found["message"]) == ("Status", reason, message)


async def test_following_a_log_ends_when_the_client_goes():
    ended = asyncio.Event()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x\n")
                await asyncio.sleep(0.005)
        except (ConnectionError, asyncio.CancelledError):
            ended.set()
            raise

    async with run_kubelet(handle) as url, run_http_face(kubelet_connector=PlainConnector()) as face:
        face.dispatcher.target = f"{url}/"
        async with face.session.get(LOG) as answer:
            assert await answer.content.readline() == b"x\n"
            answer.close()
        async with asyncio.timeout(5):
            await ended.wait()


async def test_websocket_is_tunnelled():
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        assert request.headers["Sec-WebSocket-Protocol"] == "v5.channel.k8s.io"
        assert "Impersonate-User" not in request.headers
        socket = web.WebSocketResponse(protocols=("v5.channel.k8s.io",))
        await socket.prepare(request)
        async for message in socket:
            await socket.send_bytes(b"\x01" + message.data)
            break
        await socket.close()
        return socket

    async with run_kubelet(handle) as url, run_http_face(kubelet_connector=PlainConnector()) as face:
        face.dispatcher.target = f"{url}/exec/default/p/c?command=sh"
        face.authorizer.allowed = {("get", "pods"), ("create", "pods")}
        token = "base64url.bearer.authorization.k8s.io." + base64.urlsafe_b64encode(b"good").decode()
        headers = {"Authorization": "", "Impersonate-User": "x"}
        protocols = ("v5.channel.k8s.io", token)
        async with face.session.ws_connect(EXEC, protocols=protocols, headers=headers) as socket:
            assert socket.protocol == "v5.channel.k8s.io"
            await socket.send_bytes(b"hello")
            assert (await socket.receive()).data == b"\x01hello"
            assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def test_spdy_upgrade_is_tunnelled():
    async def kubelet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Upgrade: SPDY/3.1" in head
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n")
        writer.write(b"<" + await reader.readexactly(5) + b">")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(kubelet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, run_http_face(kubelet_connector=PlainConnector()) as face:
        face.dispatcher.target = f"http://127.0.0.1:{port}/exec"
        url = urlsplit(face.url)
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(
            f"POST {EXEC}?command=sh HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nConnection: Upgrade\r\n"
            f"Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\nContent-Length: 0\r\n\r\n".encode()
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        writer.write(b"\x80\x03\x00\x01\xff")
        assert await reader.read() == b"<\x80\x03\x00\x01\xff>"
        writer.close()


async def test_refused_upgrade_is_an_ordinary_answer():
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=400, text="no such container")

    async with run_kubelet(handle) as url, run_http_face(kubelet_connector=PlainConnector()) as face:
        face.dispatcher.target = f"{url}/exec"
        headers = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1"}
        async with face.session.post(EXEC, headers=headers) as answer:
            assert answer.status == 400
            assert await answer.text() == "no such container"


async def test_unreachable_kubelet_is_500():
    async with run_http_face(kubelet_connector=PlainConnector()) as face:
        face.dispatcher.target = "http://127.0.0.1:1/"
        async with face.session.get(LOG) as answer:
            assert answer.status == 500
            assert "error dialing backend" in (await answer.json())["message"]


async def test_log_over_a_websocket_is_sent_as_plain_binary_messages():
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        assert "Upgrade" not in request.headers
        return web.Response(text="line\n")

    async with run_kubelet(handle) as url, run_http_face(kubelet_connector=PlainConnector()) as face:
        face.dispatcher.target = f"{url}/log"
        async with face.session.ws_connect(LOG, protocols=("binary.k8s.io",)) as socket:
            assert socket.protocol == "binary.k8s.io"
            assert (await socket.receive()).data == b"line\n"
            assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
async def test_proxy_passes_every_method_and_redirects_readers_to_the_slash(method):
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(
            text=request.method + (await request.read()).decode(), headers={"X-Seen": request.method}
        )

    async with run_kubelet(handle) as url, run_http_face(kubelet_connector=PlainConnector()) as face:
        face.dispatcher.target = f"{url}/"
        data = b"!" if method == "POST" else None
        async with face.session.request(method, PROXY, data=data, allow_redirects=False) as answer:
            if method in ("GET", "HEAD"):
                assert answer.status == 301
                assert answer.headers["Location"] == f"{PROXY}/"
            else:
                assert answer.headers["X-Seen"] == method
        async with face.session.request(
            method, yarl.URL(f"{face.url}{PROXY}/a%20b/c/", encoded=True), data=data
        ) as answer:
            assert answer.headers["X-Seen"] == method
            assert await answer.text() == {"HEAD": "", "POST": "POST!"}.get(method, method)
    assert face.dispatcher.requests[-1].options["path"] == "a%20b/c/"


async def test_dialer_shows_its_certificate_and_checks_the_name_of_the_kubelet(tmp_path):
    authority = make_authority("test")
    (tmp_path / "ca.crt").write_bytes(authority.certificate)
    for name, request in (
        ("kubelet", LeafRequest(common_name="node", names=("127.0.0.1",), usage="server")),
        ("client", LeafRequest(common_name="system:apiserver")),
    ):
        key = make_key()
        (tmp_path / f"{name}.key").write_bytes(key)
        (tmp_path / f"{name}.crt").write_bytes(sign_leaf(authority, request, key=key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "kubelet.crt", tmp_path / "kubelet.key")
    context.load_verify_locations(tmp_path / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        subject = request.transport.get_extra_info("peercert")["subject"]
        return web.Response(text=str(subject))

    server = web.Server(handle, access_log=None)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, ssl=context)
    port = listener.sockets[0].getsockname()[1]
    dialer = KubeletDialer(
        certificate=tmp_path / "client.crt", key=tmp_path / "client.key", authority=tmp_path / "ca.crt"
    )
    async with run_http_face(kubelet_connector=dialer) as face:
        face.dispatcher.target = f"https://127.0.0.1:{port}/log"
        async with face.session.get(LOG) as answer:
            assert "system:apiserver" in await answer.text()
        face.dispatcher.target = f"https://localhost:{port}/log"
        async with face.session.get(LOG) as answer:
            assert answer.status == 500
    listener.close()
    await server.shutdown(1)


async def test_exec_over_a_websocket_needs_leave_to_create():
    async with run_http_face(kubelet_connector=PlainConnector()) as face:
        face.authorizer.allowed = {("get", "pods")}
        headers = {"Authorization": "Bearer plain"}
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await face.session.ws_connect(EXEC, protocols=("v5.channel.k8s.io",), headers=headers)
        assert caught.value.status == 403
        face.authorizer.allowed.add(("create", "pods"))
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await face.session.ws_connect(EXEC, protocols=("v5.channel.k8s.io",), headers=headers)
        assert caught.value.status != 403


async def test_links_and_redirections_of_a_proxied_page_lead_through_the_proxy():
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/away":
            return web.Response(status=302, headers={"Location": "/there/?a=b"})
        return web.Response(text='<a href="/rewriteme">test</a>', content_type="text/html")

    async with run_kubelet(handle) as url, run_http_face(kubelet_connector=PlainConnector()) as face:
        face.dispatcher.target = f"{url}/"
        async with face.session.get(f"{PROXY}/") as answer:
            assert await answer.text() == f'<a href="{PROXY}/rewriteme">test</a>'
        face.dispatcher.target = f"{url}/away"
        async with face.session.get(f"{PROXY}/away", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, f"{PROXY}/there/?a=b")


async def test_a_pods_own_certificate_is_taken_and_ours_is_not_shown(tmp_path):
    authority = make_authority("test")
    stranger = make_authority("stranger")
    for name, signer, usage in (("ours", authority, "client"), ("theirs", stranger, "server")):
        key = make_key()
        request = LeafRequest(common_name=name, names=("elsewhere",), usage=usage)
        (tmp_path / f"{name}.key").write_bytes(key)
        (tmp_path / f"{name}.crt").write_bytes(sign_leaf(signer, request, key=key))
    (tmp_path / "ca.crt").write_bytes(authority.certificate)
    shown = []

    async def handle(reader, writer):
        shown.append(writer.get_extra_info("peercert"))
        writer.close()

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "ca.crt")
    tls.verify_mode = ssl.CERT_OPTIONAL
    tls.load_cert_chain(tmp_path / "theirs.crt", tmp_path / "theirs.key")
    dialer = KubeletDialer(certificate=tmp_path / "ours.crt", key=tmp_path / "ours.key", authority=tmp_path / "ca.crt")
    async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls) as server:
        target = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(ssl.SSLCertVerificationError):
            await dialer.connect(target)
        reader, writer = await dialer.connect(target, is_kubelet=False)
        await reader.read()
        writer.close()
    assert shown == [None]

import asyncio
import socket

import orjson
import pytest
from aiohttp import web

from k3py.api.resource import CONFIG_MAPS, PODS
from k3py.api.status import ApiError, not_found
from k3py.client.errors import Unreachable
from k3py.client.http import HttpClient
from k3py.client.interface import PatchType


class Server:
    """Answers with what `answers` holds, in order: (status, headers, document) or a list of watch lines."""

    def __init__(self):
        self.requests = []
        self.answers = []

    async def handle(self, request):
        body = await request.read()
        self.requests.append((request.method, request.path, dict(request.query), dict(request.headers), body))
        answer = self.answers.pop(0)
        if isinstance(answer, list):
            response = web.StreamResponse()
            await response.prepare(request)
            for part in answer:
                await response.write(part)
                await asyncio.sleep(0)
            return response
        code, headers, document = answer
        return web.Response(status=code, headers=headers, body=orjson.dumps(document))


@pytest.fixture
async def server():
    server = Server()
    runner = web.ServerRunner(web.Server(server.handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@pytest.fixture
async def client(server):
    async with HttpClient(server.url, token=lambda: "secret", user_agent="kubelet/v1") as client:
        yield client


POD = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a", "namespace": "d", "resourceVersion": "5"}}


async def test_verbs_become_requests(server, client):
    server.answers = [(200, {}, POD)] * 5
    assert await client.get(PODS, "a", namespace="d") == POD
    await client.create(PODS, POD)
    await client.update(PODS, POD, subresource="status")
    await client.patch(PODS, "a", {"x": 1}, namespace="d", patch_type=PatchType.MERGE, field_manager="me")
    await client.delete(PODS, "a", namespace="d", grace_period_s=0, uid="u")
    seen = [(method, path) for method, path, *_ in server.requests]
    assert seen == [
        ("GET", "/api/v1/namespaces/d/pods/a"),
        ("POST", "/api/v1/namespaces/d/pods"),
        ("PUT", "/api/v1/namespaces/d/pods/a/status"),
        ("PATCH", "/api/v1/namespaces/d/pods/a"),
        ("DELETE", "/api/v1/namespaces/d/pods/a"),
    ]
    _, _, query, headers, body = server.requests[3]
    assert (query, headers["Content-Type"]) == ({"fieldManager": "me"}, "application/merge-patch+json")
    assert headers["Authorization"] == "Bearer secret"
    assert headers["User-Agent"] == "kubelet/v1"
    assert orjson.loads(body) == {"x": 1}
    assert orjson.loads(server.requests[4][4]) == {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": "u"},
    }


async def test_list_follows_pages_and_names_the_kind_of_items(server, client):
    page = {"metadata": {"resourceVersion": "7", "continue": "next"}, "items": [{"metadata": {"name": "a"}}]}
    last = {"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "b"}}]}
    server.answers = [(200, {}, page), (200, {}, last)]
    listed = await client.list(CONFIG_MAPS, namespace="d", label_selector="x=y")
    assert [(o["kind"], o["metadata"]["name"]) for o in listed.items] == [("ConfigMap", "a"), ("ConfigMap", "b")]
    assert listed.resource_version == "7"
    assert server.requests[1][2] == {"labelSelector": "x=y", "limit": "500", "continue": "next"}


async def test_status_documents_become_api_errors(server, client):
    server.answers = [(404, {}, not_found("", "pods", "a").to_status())]
    with pytest.raises(ApiError) as caught:
        await client.get(PODS, "a", namespace="d")
    assert (caught.value.code, caught.value.reason) == (404, "NotFound")
    assert caught.value.message == 'pods "a" not found'


@pytest.mark.looptime(False)
async def test_too_many_requests_is_tried_again_when_the_server_says_so(server, client):
    server.answers = [(429, {"Retry-After": "0"}, {}), (200, {}, POD)]
    assert await client.get(PODS, "a", namespace="d") == POD


async def test_unreachable_server_is_an_api_error():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    async with HttpClient(f"http://127.0.0.1:{port}") as client:
        with pytest.raises(Unreachable) as caught:
            await client.get(PODS, "a", namespace="d")
    assert caught.value.code == 503


async def test_watch_yields_events_across_chunk_borders_and_ends_with_the_stream(server, client):
    line = orjson.dumps({"type": "ADDED", "object": POD}) + b"\n"
    mark = orjson.dumps({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}) + b"\n"
    server.answers = [[line[:10], line[10:] + mark[:5], mark[5:]]]
    async with client.watch(PODS, namespace="d", resource_version="4") as events:
        seen = [event async for event in events]
    assert [event.type for event in seen] == ["ADDED", "BOOKMARK"]
    assert seen[0].object == POD
    query = server.requests[0][2]
    assert (query["watch"], query["allowWatchBookmarks"], query["resourceVersion"]) == ("true", "true", "4")
    assert 300 <= int(query["timeoutSeconds"]) <= 600


async def test_error_event_in_a_watch_is_raised(server, client):
    gone = ApiError(410, "Expired", "too old resource version").to_status()
    server.answers = [[orjson.dumps({"type": "ERROR", "object": gone}) + b"\n"]]
    with pytest.raises(ApiError) as caught:
        async with client.watch(PODS) as events:
            await anext(events)
    assert (caught.value.code, caught.value.reason) == (410, "Expired")

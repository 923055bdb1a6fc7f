"""An extension API server over TLS: group toys.example.com/v1 with what clients do to `toys`, kept in memory.

Like upstream's sample API server it believes X-Remote-… headers of the front proxy only, by its certificate.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from k3py.pki.authority import LeafRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from k3py.jsontypes import JsonObject
    from tests.support.throwaway_pki import ThrowawayPki

GROUP = "toys.example.com"
BASE = f"/apis/{GROUP}/v1"
_VERBS = ["create", "delete", "get", "list", "watch"]
RESOURCES: JsonObject = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": f"{GROUP}/v1",
    "resources": [
        {
            "name": "toys",
            "singularName": "toy",
            "namespaced": True,
            "kind": "Toy",
            "verbs": _VERBS,
            "shortNames": ["ty"],
        },
        {"name": "toys/shell", "singularName": "", "namespaced": True, "kind": "Toy", "verbs": ["get"]},
    ],
}
_TOY = {
    "type": "object",
    "description": "A toy.",
    "properties": {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": {"type": "object"},
    },
}
_KIND = {"group": GROUP, "version": "v1", "kind": "Toy"}
_GVK = {"x-kubernetes-group-version-kind": [_KIND]}
_LIST = {"x-kubernetes-action": "list", "x-kubernetes-group-version-kind": _KIND, "responses": {"200": {"description": "OK"}}}
_V2: JsonObject = {
    "swagger": "2.0",
    "info": {"title": "toys", "version": "v1"},
    "paths": {f"{BASE}/namespaces/{{namespace}}/toys": {"get": _LIST}},
    "definitions": {"com.example.toys.v1.Toy": {**_TOY, **_GVK}},
}
_V3: JsonObject = {
    "openapi": "3.0.0",
    "info": {"title": "toys", "version": "v1"},
    "paths": _V2["paths"],
    "components": {"schemas": {"com.example.toys.v1.Toy": {**_TOY, **_GVK}}},
}


@dataclass
class ExtensionServer:
    """A running server. `seen`: headers of requests by path; `broken`: answers 500 to everything."""

    port: int
    ca_bundle: str
    seen: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    toys: dict[str, JsonObject] = field(default_factory=dict)
    broken: bool = False
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def registration(self, **spec: Any) -> JsonObject:
        """Return the APIService of the group; its Service is default/toys."""
        return {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"v1.{GROUP}"},
            "spec": {
                "group": GROUP,
                "version": "v1",
                "groupPriorityMinimum": 1500,
                "versionPriority": 15,
                "caBundle": self.ca_bundle,
                "service": {"name": "toys", "namespace": "default", "port": self.port},
                **spec,
            },
        }

    @staticmethod
    def service() -> JsonObject:
        """Return the Service, which leads to this machine."""
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "toys", "namespace": "default"},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request of the front proxy."""
        tls = request.get_extra_info("ssl_object")
        if tls is None or not tls.getpeercert():
            return web.json_response({"kind": "Status", "code": 401}, status=401)
        self.seen[request.path] = [(name.lower(), value) for name, value in request.headers.items()]
        if self.broken:
            return web.Response(status=500, text="broken")
        if request.path == BASE:
            return web.json_response(RESOURCES)
        if request.path == "/openapi/v2":
            return web.json_response(_V2)
        if request.path == "/openapi/v3":
            paths = {f"apis/{GROUP}/v1": {"serverRelativeURL": f"/openapi/v3/apis/{GROUP}/v1?hash=ABC"}}
            return web.json_response({"paths": paths})
        if request.path == f"/openapi/v3/apis/{GROUP}/v1":
            return web.json_response(_V3)
        collection = f"{BASE}/namespaces/default/toys"
        if request.path.endswith("/elsewhere"):
            return web.Response(status=302, headers={"Location": "https://192.0.2.66/"})
        if request.path.endswith("/shell"):
            return await _echo(request)
        if request.path == collection and request.query.get("watch"):
            return await self._watch(request)
        if request.path in (collection, f"{BASE}/toys"):
            return await self._collection(request)
        return await self._object(request, request.path.rpartition("/")[2])

    async def _collection(self, request: web.BaseRequest) -> web.Response:
        if request.method == "POST":
            toy = await request.json()
            toy["metadata"] |= {"namespace": "default", "uid": "u", "resourceVersion": str(len(self.toys) + 1)}
            self.toys[toy["metadata"]["name"]] = toy
            async with self.changed:
                self.changed.notify_all()
            return web.json_response(toy, status=201)
        body = {
            "kind": "ToyList",
            "apiVersion": f"{GROUP}/v1",
            "metadata": {"resourceVersion": "1"},
            "items": list(self.toys.values()),
        }
        return web.json_response(body)

    async def _object(self, request: web.BaseRequest, name: str) -> web.Response:
        toy = self.toys.get(name)
        if toy is None:
            body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            return web.json_response({**body, "message": f'toys "{name}" not found'}, status=404)
        if request.method == "DELETE":
            del self.toys[name]
            return web.json_response({"kind": "Status", "apiVersion": "v1", "status": "Success"})
        return web.json_response(toy)

    async def _watch(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        sent: set[str] = set()
        while True:
            for name in self.toys.keys() - sent:
                sent.add(name)
                event = web.json_response({"type": "ADDED", "object": self.toys[name]}).body
                await response.write(bytes(event) + b"\n")  # type: ignore[arg-type]
            async with self.changed:
                await self.changed.wait()


async def _echo(request: web.BaseRequest) -> web.StreamResponse:
    socket = web.WebSocketResponse(protocols=("v5.channel.k8s.io",))
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


@asynccontextmanager
async def run_extension_server(pki: ThrowawayPki, *, port: int = 0) -> AsyncIterator[ExtensionServer]:
    """Run until the block is left; its certificate is of `pki`, for toys.default.svc."""
    request = LeafRequest(common_name="toys", names=("toys.default.svc",), usage="server")
    certificate, key = pki.issue("toys", request)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(cafile=pki.folder / "front-proxy-ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    bundle = base64.b64encode((pki.folder / "ca.crt").read_bytes()).decode()
    running = ExtensionServer(0, bundle)
    server = web.Server(running.handle, access_log=None, handler_cancellation=True)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", port, ssl=context)
    running.port = listener.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        listener.close()
        await server.shutdown(1)

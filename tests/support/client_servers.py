"""API servers for the client contract: the real dispatcher over the memory datastore, without authorization and admission plugins."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from k3py.api.object import deep_copy
from k3py.api.registry import KindRegistry
from k3py.api.schema import load_schema
from k3py.api.user import AUTHENTICATED, MASTERS, User
from k3py.apiserver.app import ApiServer
from k3py.apiserver.connection import ConnectionServer
from k3py.apiserver.dispatcher import ApiDispatcher
from k3py.apiserver.health import HealthChecks
from k3py.apiserver.interface import Decision
from k3py.apiserver.registry.builtin_schemas import BuiltinSchemas
from k3py.client.http import HttpClient
from k3py.client.local import LocalClient
from k3py.client.local_informers import LocalInformerFactory
from k3py.client.reflector import HttpInformerFactory
from k3py.datastore.factory import open_backend
from k3py.storage.factory import open_storage
from k3py.util.metrics import Registry
from k3py.util.supervise import TaskScope
from tests.support.fake_client import FakeClient, FakeInformerFactory
from tests.support.fake_patch import apply_json_patch, merge, strategic_merge
from tests.support.http_face import KINDS, FakeAuthenticator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from k3py.api.kind import Kind
    from k3py.apiserver.interface import AdmissionRequest, Attributes
    from k3py.client.interface import Client, InformerFactory
    from k3py.datastore.interface import Backend
    from k3py.jsontypes import JsonObject, JsonValue

ADMIN = User(name="admin", groups=(MASTERS, AUTHENTICATED))


class AllowEverything:
    async def authorize(self, attributes: Attributes) -> Decision:
        return Decision(True)


class AdmitEverything:
    async def admit(self, request: AdmissionRequest) -> None:
        return

    async def validate(self, request: AdmissionRequest) -> None:
        return


class SimplePatches:
    """Patches of the fake client; no server-side apply, no managed fields."""

    def apply_json(self, live: JsonObject, patch: JsonValue) -> JsonObject:
        return apply_json_patch(live, patch)

    def apply_merge(self, live: JsonObject, patch: JsonValue) -> JsonObject:
        return merge(live, patch)

    def apply_strategic(self, kind: Kind, live: JsonObject, patch: JsonValue) -> JsonObject:
        return strategic_merge(live, patch)

    def apply_configuration(
        self, kind: Kind, live: JsonObject | None, patch: JsonValue, **_: object
    ) -> JsonObject:
        return strategic_merge(live or {}, deep_copy(patch))

    def track(self, kind: Kind, old: JsonObject | None, new: JsonObject, **_: object) -> None:
        return


@asynccontextmanager
async def run_dispatcher() -> AsyncIterator[ApiDispatcher]:
    """Run a dispatcher over an empty memory datastore."""
    async with open_backend("memory://") as backend, dispatch_over(backend) as dispatcher:
        yield dispatcher


@asynccontextmanager
async def dispatch_over(backend: Backend) -> AsyncIterator[ApiDispatcher]:
    """Run a dispatcher over a datastore."""
    async with open_storage(backend, detect_mutations=True) as storage:
        yield ApiDispatcher(
            kinds=KindRegistry(KINDS),
            storage=storage,
            authorizer=AllowEverything(),
            admission=AdmitEverything(),
            schemas=BuiltinSchemas(load_schema()),
            patches=SimplePatches(),
        )


@asynccontextmanager
async def run_client(implementation: str) -> AsyncIterator[tuple[Client, InformerFactory]]:
    """Run an empty API server of `implementation` ("fake", "local", "http"); yields a client and running informers."""
    if implementation == "fake":
        fake = FakeClient()
        yield fake, FakeInformerFactory(fake)
        fake.check_untouched()
        return
    async with run_dispatcher() as dispatcher:
        if implementation == "local":
            local = LocalClient(dispatcher, ADMIN, "test/v1")
            async with running(LocalInformerFactory(local)) as informers:
                yield local, informers
            return
        async with (
            serve(dispatcher) as url,
            HttpClient(url, token=lambda: "good", user_agent="test/v1") as http,
            running(HttpInformerFactory(http)) as informers,
        ):
            yield http, informers


@asynccontextmanager
async def running(
    factory: LocalInformerFactory | HttpInformerFactory,
) -> AsyncIterator[InformerFactory]:
    """Run a factory; yields it."""
    async with TaskScope() as scope:
        started = asyncio.Event()
        _ = scope.spawn(factory.run(started.set), name="informers")
        await started.wait()
        yield factory
        scope.cancel()


@asynccontextmanager
async def serve(dispatcher: ApiDispatcher, *, port: int = 0) -> AsyncIterator[str]:
    """Serve HTTP on a loopback port (0 = a free one); yields the URL."""
    api = ApiServer(
        dispatcher=dispatcher,
        kinds=KindRegistry(KINDS),
        authenticator=FakeAuthenticator(),
        authorizer=AllowEverything(),
        health=HealthChecks(),
        metrics=Registry(),
        server_address="127.0.0.1:6443",
        kubelet_connector=None,
        jwks={"keys": []},
        openid_configuration={},
    )
    connections = ConnectionServer(api.handle)
    server = await asyncio.get_running_loop().create_server(connections, "127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        api.drain()
        connections.pre_shutdown()
        await connections.shutdown(5)

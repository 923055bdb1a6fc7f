"""Runs an ApiServer with a fake Dispatcher on a plain loopback port, for tests."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp

from k3py.api.kind import Column, Kind, StoragePolicy, Subresource
from k3py.api.registry import KindRegistry
from k3py.api.status import unauthorized
from k3py.api.user import AUTHENTICATED, MASTERS, User
from k3py.apiserver.app import ApiServer
from k3py.apiserver.connection import ConnectionServer
from k3py.apiserver.health import HealthChecks
from k3py.apiserver.interface import Decision
from k3py.util.metrics import Registry
from tests.support.fake_dispatcher import FakeDispatcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from k3py.apiserver.flow_control.flow_control import FlowControl
    from k3py.apiserver.interface import Attributes, Credentials, KubeletConnector
    from k3py.jsontypes import JsonObject

ADMIN = User(name="admin", groups=(MASTERS, AUTHENTICATED))

KINDS = (
    Kind(
        version="v1",
        kind="ConfigMap",
        plural="configmaps",
        short_names=("cm",),
        schema="io.k8s.api.core.v1.ConfigMap",
        storage=StoragePolicy(prefix="configmaps"),
        columns=(
            Column(name="Name", format="name", value=lambda obj, _now: obj["metadata"]["name"]),
            Column(name="Data", type="integer", value=lambda obj, _now: len(obj.get("data") or {})),
        ),
    ),
    Kind(
        version="v1",
        kind="Pod",
        plural="pods",
        schema="io.k8s.api.core.v1.Pod",
        storage=StoragePolicy(prefix="pods"),
        subresources=(
            Subresource(name="log", verbs=("get",)),
            Subresource(name="proxy", verbs=("create", "delete", "get", "patch", "update")),
            Subresource(name="exec", verbs=("create", "get"), kind="PodExecOptions"),
        ),
    ),
    Kind(
        version="v1",
        kind="Namespace",
        plural="namespaces",
        namespaced=False,
        verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
        schema="io.k8s.api.core.v1.Namespace",
        storage=StoragePolicy(prefix="namespaces"),
        subresources=(Subresource(name="finalize", verbs=("update",)),),
    ),
    Kind(
        group="example.com",
        version="v1",
        kind="Thing",
        plural="things",
        storage=StoragePolicy(prefix="example.com/things"),
    ),
)


@dataclass
class FakeAuthenticator:
    """Knows the token "good" (the admin) and the token "plain" (a user without rights)."""

    async def authenticate(self, credentials: Credentials) -> User | None:
        """Return the user of a token."""
        if credentials.bearer == "good":
            return ADMIN
        if credentials.bearer == "plain":
            return User(name="plain", groups=(AUTHENTICATED,))
        if credentials.bearer:
            raise unauthorized()
        return None


@dataclass
class FakeAuthorizer:
    """Lets system:masters do everything, others what `allowed` names as (verb, path or resource)."""

    allowed: set[tuple[str, str]] = field(default_factory=set)

    async def authorize(self, attributes: Attributes) -> Decision:
        """Decide."""
        if MASTERS in attributes.user.groups:
            return Decision(True)
        return Decision((attributes.verb, attributes.path or attributes.resource) in self.allowed)


class FakeOpenApi:
    """Documents that name their kinds and no more."""

    def build_v2(self, kinds: Iterable[Kind]) -> JsonObject:
        """Return the document of all kinds."""
        return {"kinds": [kind.kind for kind in kinds]}

    def build_v3(self, kinds: Iterable[Kind], group: str, version: str) -> JsonObject:
        """Return the document of a group's version."""
        return {"kinds": [kind.kind for kind in kinds], "group": group, "version": version}


@dataclass
class HttpFace:
    """A running server and a client session with the admin's token."""

    url: str
    session: aiohttp.ClientSession
    dispatcher: FakeDispatcher
    authorizer: FakeAuthorizer
    api: ApiServer
    health: HealthChecks
    kinds: KindRegistry


@asynccontextmanager
async def run_http_face(
    *, kubelet_connector: KubeletConnector | None = None, flow_control: FlowControl | None = None
) -> AsyncIterator[HttpFace]:
    """Run the server until the block is left."""
    kinds = KindRegistry(KINDS)
    dispatcher = FakeDispatcher(kinds)
    authorizer = FakeAuthorizer()
    health = HealthChecks()
    api = ApiServer(
        dispatcher=dispatcher,
        kinds=kinds,
        authenticator=FakeAuthenticator(),
        authorizer=authorizer,
        health=health,
        metrics=Registry(),
        server_address="127.0.0.1:6443",
        kubelet_connector=kubelet_connector,
        openapi_builder=FakeOpenApi(),
        jwks={"keys": []},
        openid_configuration={"issuer": "https://kubernetes.default.svc"},
        flow_control=flow_control,
    )
    connections = ConnectionServer(api.handle)
    server = await asyncio.get_running_loop().create_server(connections, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        async with aiohttp.ClientSession(url, headers={"Authorization": "Bearer good"}) as session:
            yield HttpFace(url, session, dispatcher, authorizer, api, health, kinds)
    finally:
        server.close()
        api.drain()
        connections.pre_shutdown()
        await connections.shutdown(5)

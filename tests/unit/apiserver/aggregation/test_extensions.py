"""A group that a real extension API server serves, over TLS, through the API server: from its registration to its end."""

from __future__ import annotations

import base64
import ssl
from contextlib import asynccontextmanager

import aiohttp
import pytest

from k3py.api.resource import Resource
from k3py.api.status import ApiError
from k3py.api.user import User
from k3py.client.local import LocalClient
from k3py.pki.authority import LeafRequest
from tests.support.api import ADMIN
from tests.support.api_server import run_api_server
from tests.support.extension_server import BASE, GROUP, run_extension_server
from tests.support.waiting import wait_for

REGISTRATIONS = "/apis/apiregistration.k8s.io/v1/apiservices"
NAME = f"v1.{GROUP}"
TOYS = f"{BASE}/namespaces/default/toys"
TOY = Resource(GROUP, "v1", "toys", "Toy")
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def tls(folder, user="admin"):
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    context.load_cert_chain(folder / f"{user}.crt", folder / f"{user}.key")
    return context


class World:
    """Both servers, and the admin's session."""

    def __init__(self, server, extension, session):
        self.server, self.extension, self.session = server, extension, session

    async def read(self, path, **more):
        async with self.session.get(path, **more) as answer:
            return answer.status, await answer.json(content_type=None)

    async def post(self, path, body):
        async with self.session.post(path, json=body) as answer:
            assert answer.status == 201, await answer.text()

    async def condition(self):
        _, registration = await self.read(f"{REGISTRATIONS}/{NAME}")
        conditions = (registration.get("status") or {}).get("conditions") or [{}]
        return conditions[0].get("status"), conditions[0].get("reason")

    async def wait_condition(self, *wanted):
        async def reached():
            return await self.condition() == wanted

        await wait_for(reached)

    async def register(self, **spec):
        await self.post("/api/v1/namespaces/default/services", self.extension.service())
        await self.post(REGISTRATIONS, self.extension.registration(**spec))


@asynccontextmanager
async def run_world(tmp_path):
    async with run_api_server(tmp_path) as server, run_extension_server(server.pki) as extension:
        connector = aiohttp.TCPConnector(ssl=tls(tmp_path))
        async with aiohttp.ClientSession(server.url, connector=connector) as session:
            yield World(server, extension, session)


async def test_group_is_served_from_registration_on(tmp_path):
    async with run_world(tmp_path) as world:
        await world.register()
        await world.wait_condition("True", "Passed")

        status, listed = await world.read(BASE)
        assert (status, listed["resources"][0]["name"]) == (200, "toys")
        await world.post(TOYS, {"kind": "Toy", "apiVersion": f"{GROUP}/v1", "metadata": {"name": "ball"}})
        status, toy = await world.read(f"{TOYS}/ball")
        assert (status, toy["metadata"]["name"]) == (200, "ball")
        assert (await world.read(f"{TOYS}/none"))[0] == 404

        seen = world.extension.seen[f"{TOYS}/ball"]
        assert ("x-remote-user", "system:admin") in seen
        assert [value for name, value in seen if name == "x-remote-group"] == [
            "system:masters",
            "system:authenticated",
        ]
        assert any(name == "x-remote-extra-authentication.kubernetes.io%2fcredential-id" for name, _ in seen)
        assert not any(name == "authorization" for name, _ in seen)

        async with world.session.get(TOYS, params={"watch": "1"}) as events:
            first = await events.content.readline()
            assert b'"ball"' in first
            await world.post(TOYS, {"metadata": {"name": "kite"}})
            assert b'"kite"' in await events.content.readline()

        async with world.session.ws_connect(f"{TOYS}/ball/shell", protocols=("v5.channel.k8s.io",)) as shell:
            await shell.send_bytes(b"\0hello")
            assert (await shell.receive()).data == b"\0hello"
            assert shell.protocol == "v5.channel.k8s.io"


async def test_discovery_shows_it_and_whether_it_is_there(tmp_path):
    async with run_world(tmp_path) as world:
        _, before = await world.read("/apis", headers={"Accept": AGGREGATED})
        assert all(one["metadata"]["name"] != GROUP for one in before["items"])
        await world.register()
        await world.wait_condition("True", "Passed")

        _, groups = await world.read("/apis")
        names = [one["name"] for one in groups["groups"]]
        assert names[-1] == GROUP  # a priority of 1500 comes behind what is built in
        assert (await world.read(f"/apis/{GROUP}"))[1]["preferredVersion"]["version"] == "v1"
        _, document = await world.read("/apis", headers={"Accept": AGGREGATED})
        (group,) = (one for one in document["items"] if one["metadata"]["name"] == GROUP)
        (version,) = group["versions"]
        assert version["freshness"] == "Current"
        (resource,) = version["resources"]
        assert resource == {
            "resource": "toys",
            "scope": "Namespaced",
            "responseKind": {"group": GROUP, "version": "v1", "kind": "Toy"},
            "singularResource": "toy",
            "verbs": ["create", "delete", "get", "list", "watch"],
            "shortNames": ["ty"],
            "subresources": [
                {
                    "subresource": "shell",
                    "responseKind": {"group": GROUP, "version": "v1", "kind": "Toy"},
                    "verbs": ["get"],
                }
            ],
        }

        world.extension.broken = True
        patch = {"spec": {"insecureSkipTLSVerify": True, "caBundle": None}}  # a change, so it is looked at again
        headers = {"Content-Type": "application/merge-patch+json"}
        async with world.session.patch(f"{REGISTRATIONS}/{NAME}", json=patch, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
        await world.wait_condition("False", "FailedDiscoveryCheck")
        async with world.session.get(TOYS) as answer:
            assert (answer.status, await answer.text()) == (503, "service unavailable\n")
        _, document = await world.read("/apis", headers={"Accept": AGGREGATED})
        (group,) = (one for one in document["items"] if one["metadata"]["name"] == GROUP)
        assert group["versions"][0]["freshness"] == "Stale"

        world.extension.broken = False
        await world.wait_condition("True", "Passed")  # it is asked again by itself

        async with world.session.delete(f"{REGISTRATIONS}/{NAME}") as answer:
            assert answer.status == 200

        async def is_gone():
            return (await world.read("/apis"))[1]["groups"][-1]["name"] != GROUP

        await wait_for(is_gone)
        async with world.session.get(TOYS) as answer:
            assert answer.status == 404


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        (None, "ServiceNotFound"),
        ({"type": "ClusterIP", "ports": [{"port": 1}]}, "ServicePortError"),
        ({"type": "ClusterIP", "ports": [{"port": 7443}]}, "EndpointsNotFound"),
    ],
)
async def test_condition_says_what_is_wrong_with_the_service(tmp_path, service, reason):
    async with run_world(tmp_path) as world:
        reference = {"name": "toys", "namespace": "default", "port": 7443}
        await world.post(REGISTRATIONS, world.extension.registration(service=reference))
        if service is not None:
            body = {"metadata": {"name": "toys"}, "spec": service}
            await world.post("/api/v1/namespaces/default/services", body)
        await world.wait_condition("False", reason)


async def test_endpoints_that_are_not_ready_are_missing(tmp_path):
    async with run_world(tmp_path) as world:
        reference = {"name": "toys", "namespace": "default", "port": 7443}
        await world.post(REGISTRATIONS, world.extension.registration(service=reference))
        body = {"metadata": {"name": "toys"}, "spec": {"ports": [{"port": 7443}]}}
        await world.post("/api/v1/namespaces/default/services", body)
        endpoints = {
            "metadata": {"name": "toys-1", "labels": {"kubernetes.io/service-name": "toys"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["192.0.2.7"], "conditions": {"ready": False}}],
            "ports": [{"port": 7443}],
        }
        await world.post("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", endpoints)
        await world.wait_condition("False", "MissingEndpoints")


async def test_openapi_tells_of_it(tmp_path):
    async with run_world(tmp_path) as world:
        _, before = await world.read("/openapi/v2")
        assert "com.example.toys.v1.Toy" not in before["definitions"]
        await world.register()
        await world.wait_condition("True", "Passed")
        _, index = await world.read("/openapi/v3")
        url = index["paths"][f"apis/{GROUP}/v1"]["serverRelativeURL"]
        status, document = await world.read(url)
        assert (status, list(document["components"]["schemas"])) == (200, ["com.example.toys.v1.Toy"])
        _, merged = await world.read("/openapi/v2")
        assert merged["definitions"].keys() == {*before["definitions"], "com.example.toys.v1.Toy"}
        assert f"{BASE}/namespaces/{{namespace}}/toys" in merged["paths"]
        async with world.session.delete(f"{REGISTRATIONS}/{NAME}") as answer:
            assert answer.status == 200

        async def is_gone():
            _, after = await world.read("/openapi/v2")
            return after["definitions"].keys() == before["definitions"].keys()

        await wait_for(is_gone)
        async with world.session.get(f"/openapi/v3/apis/{GROUP}/v1") as answer:
            assert answer.status == 404


async def test_controllers_reach_it_through_their_own_client(tmp_path):
    async with run_world(tmp_path) as world:
        await world.register()
        await world.wait_condition("True", "Passed")
        client = LocalClient(world.server.assembly.dispatcher, ADMIN, "tests")
        _ = await client.create(TOY, {"metadata": {"name": "ball", "namespace": "default"}})
        assert (await client.get(TOY, "ball", namespace="default"))["metadata"]["name"] == "ball"
        (foreign,) = world.server.kinds.list_foreign()
        assert (foreign.available, foreign.resources) == (
            True,
            ((TOY, frozenset(("create", "delete", "get", "list", "watch"))),),
        )
        listed = await client.list(TOY, namespace="default", label_selector="a=b")
        assert [one["metadata"]["name"] for one in listed.items] == ["ball"]
        await client.delete(TOY, "ball", namespace="default")
        with pytest.raises(ApiError) as caught:
            await client.get(TOY, "ball", namespace="default")
        assert (caught.value.code, caught.value.reason) == (404, "NotFound")
        nobody = LocalClient(world.server.assembly.dispatcher, User(name="nobody"), "tests")
        with pytest.raises(ApiError) as caught:
            await nobody.list(TOY)
        assert caught.value.code == 403


async def test_who_may_not_ask_is_refused_here(tmp_path):
    async with run_world(tmp_path) as world:
        await world.register()
        await world.wait_condition("True", "Passed")
        world.server.pki.issue("alice", LeafRequest(common_name="alice"))
        connector = aiohttp.TCPConnector(ssl=tls(tmp_path, "alice"))
        async with (
            aiohttp.ClientSession(world.server.url, connector=connector) as session,
            session.get(TOYS) as answer,
        ):
            assert answer.status == 403
            message = (await answer.json())["message"]
        assert message == (
            f'toys.{GROUP} is forbidden: User "alice" cannot list resource "toys" in API group "{GROUP}" '
            'in the namespace "default"'
        )
        assert TOYS not in world.extension.seen


async def test_redirects_do_not_come_through(tmp_path):
    async with run_world(tmp_path) as world:
        await world.register()
        await world.wait_condition("True", "Passed")
        async with world.session.get(f"{TOYS}/elsewhere", allow_redirects=False) as answer:
            assert answer.status == 502
            assert "Location" not in answer.headers


async def test_foreign_certificate_is_refused(tmp_path):
    async with run_world(tmp_path) as world:
        bundle = world.extension.ca_bundle
        folder = tmp_path / "other"
        folder.mkdir()
        async with run_api_server(folder) as other:


            bundle = base64.b64encode(other.pki.authority.certificate).decode()
        await world.register(caBundle=bundle)
        await world.wait_condition("False", "FailedDiscoveryCheck")

"""Servers of one datastore know who is alive, and keep the Service `kubernetes` at those."""

import asyncio

import pytest

from k3py.api.resource import ENDPOINT_SLICES, ENDPOINTS
from k3py.datastore.factory import open_backend
from k3py.server import living_servers
from k3py.server.living_servers import PREFIX, LivingServer, LivingServers, find_servers, read_server
from k3py.util.supervise import TaskScope
from tests.support.backends import put
from tests.support.fake_client import FakeClient


@pytest.fixture
async def backend(monkeypatch):
    monkeypatch.setattr(living_servers, "_SETTLE_S", 0.001)
    async with open_backend("memory://") as opened:
        yield opened


@pytest.fixture
def client():
    return FakeClient()


async def start(scope, backend, client, address, **options):
    server = LivingServer(address=address, port=6443, node_name=f"n{address[-1]}", **options)
    living, started = LivingServers(backend, client, server), asyncio.Event()
    task = scope.spawn(living.run(started.set), name=address)
    await started.wait()
    return living, task


async def settled(client, *addresses):
    async with asyncio.timeout(30):
        while True:
            found = [one["ip"] for subset in client.objects(ENDPOINTS)[0]["subsets"] for one in subset["addresses"]]
            sliced = [ip for one in client.objects(ENDPOINT_SLICES)[0]["endpoints"] for ip in one["addresses"]]
            if found == sliced == list(addresses):
                return
            await asyncio.sleep(0.005)


async def test_the_service_stands_for_all_that_are_alive(backend, client):
    async with TaskScope() as scope:
        _, first = await start(scope, backend, client, "192.0.2.1")
        await settled(client, "192.0.2.1")
        second, _ = await start(scope, backend, client, "192.0.2.2")
        await settled(client, "192.0.2.1", "192.0.2.2")
        first.cancel()
        await settled(client, "192.0.2.2")
        assert [one.address for one in second.servers] == ["192.0.2.2"]
        scope.cancel()
    assert await find_servers(backend) == {}


@pytest.mark.slow
async def test_one_that_ends_without_a_word_is_forgotten_when_its_lease_ends(backend, client):
    async with TaskScope() as scope:
        lease = await backend.grant_lease(1)
        await put(backend, PREFIX + b"192.0.2.9", LivingServer(address="192.0.2.9", port=6443).document, lease)
        await start(scope, backend, client, "192.0.2.1")
        await settled(client, "192.0.2.1", "192.0.2.9")
        await settled(client, "192.0.2.1")
        scope.cancel()


async def test_what_servers_tell_each_other_comes_back(backend, client):
    async with TaskScope() as scope:
        living, _ = await start(scope, backend, client, "192.0.2.1", arguments={"cluster-cidr": "10.42.0.0/16"})
        await living.tell("start-abc")
        found = (await find_servers(backend))["192.0.2.1"]
        assert (found.node_name, found.keys_hash) == ("n1", "start-abc")
        assert found.arguments == {"cluster-cidr": "10.42.0.0/16"}
        scope.cancel()


async def test_a_lease_that_was_lost_is_taken_anew(backend, client, monkeypatch):
    monkeypatch.setattr(living_servers, "_RENEW_S", 0.01)
    async with TaskScope() as scope:
        living, _ = await start(scope, backend, client, "192.0.2.1")
        await backend.revoke_lease(living._lease)
        async with asyncio.timeout(30):
            while not await find_servers(backend):
                await asyncio.sleep(0.005)
        await settled(client, "192.0.2.1")
        scope.cancel()


async def test_servers_on_other_ports_have_a_subset_of_their_own(backend, client):
    async with TaskScope() as scope:
        await put(backend, PREFIX + b"192.0.2.9", LivingServer(address="192.0.2.9", port=7000).document)
        await start(scope, backend, client, "192.0.2.1")
        subsets = client.objects(ENDPOINTS)[0]["subsets"]
        assert [(one["ports"][0]["port"], one["addresses"]) for one in subsets] == [
            (6443, [{"ip": "192.0.2.1"}]),
            (7000, [{"ip": "192.0.2.9"}]),
        ]
        scope.cancel()


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"metadata": {}, "subsets": []}', b'{"subsets": 3}'])
async def test_a_damaged_record_is_nobody(backend, value):
    await put(backend, PREFIX + b"192.0.2.9", value)
    (kv,) = (await backend.range(PREFIX + b"192.0.2.9")).kvs
    assert read_server(kv) is None


async def test_a_server_that_moves_is_known_under_its_new_address_alone(backend, client):
    async with TaskScope() as scope:
        living, _ = await start(scope, backend, client, "192.0.2.1")
        await start(scope, backend, client, "192.0.2.2")
        await settled(client, "192.0.2.1", "192.0.2.2")
        await living.move("192.0.2.7")
        await settled(client, "192.0.2.2", "192.0.2.7")
        assert sorted(await find_servers(backend)) == ["192.0.2.2", "192.0.2.7"]
        scope.cancel()

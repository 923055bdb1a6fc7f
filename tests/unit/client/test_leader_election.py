import asyncio

import pytest

from k3py.api.resource import LEASES
from k3py.api.status import ApiError
from k3py.client.leader_election import Election, LeaderElector, LeadershipLost
from tests.support.fake_client import FakeClient

pytestmark = pytest.mark.looptime


@pytest.fixture(autouse=True)
def loop_clock(monkeypatch):
    monkeypatch.setattr("k3py.util.clock.monotonic_s", lambda: asyncio.get_running_loop().time())


def elector(client, identity):
    return LeaderElector(client, Election(name="controllers", identity=identity))


def holder(client):
    (lease,) = client.objects(LEASES)
    return lease["spec"]["holderIdentity"]


async def forever():
    await asyncio.Event().wait()


async def test_first_candidate_leads_and_renews():
    client = FakeClient()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(elector(client, "a").run(forever))
        await asyncio.sleep(1)
        first = client.objects(LEASES)[0]
        await asyncio.sleep(60)
        assert holder(client) == "a"
        assert client.objects(LEASES)[0]["spec"]["acquireTime"] == first["spec"]["acquireTime"]
        assert client.objects(LEASES)[0]["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
        task.cancel()


async def test_released_lease_is_taken_over_soon():
    client = FakeClient()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(elector(client, "a").run(forever))
        await asyncio.sleep(1)
        second = group.create_task(elector(client, "b").run(forever))
        await asyncio.sleep(30)
        assert holder(client) == "a"
        first.cancel()
        await asyncio.sleep(6)
        assert holder(client) == "b"
        assert client.objects(LEASES)[0]["spec"]["leaseTransitions"] == 1
        second.cancel()


async def test_silent_leader_is_replaced_only_after_its_lease():
    client = FakeClient()
    lease = {"holderIdentity": "dead", "leaseDurationSeconds": 15, "renewTime": "1970-01-01T00:00:00.000000Z"}
    client.seed(LEASES, {"metadata": {"name": "controllers", "namespace": "kube-system"}, "spec": lease})
    async with asyncio.TaskGroup() as group:
        task = group.create_task(elector(client, "b").run(forever))
        await asyncio.sleep(14)
        assert holder(client) == "dead", "however old its renewTime looks"
        await asyncio.sleep(8)
        assert holder(client) == "b"
        task.cancel()


async def test_leader_that_cannot_renew_stops_before_others_may_start():
    client = FakeClient()
    stopped = []

    async def lead():
        try:
            await forever()
        finally:
            stopped.append(asyncio.get_running_loop().time())

    start = asyncio.get_running_loop().time()
    down = ApiError(503, "ServiceUnavailable", "down")
    asyncio.get_running_loop().call_later(0.1, lambda: client.fail("get", LEASES, down, times=100))
    with pytest.raises(LeadershipLost):
        await elector(client, "a").run(lead)
    assert stopped[0] - start < 15


async def test_a_leader_ends_soon_though_the_lease_cannot_be_released(monkeypatch):
    client = FakeClient()
    task = asyncio.get_running_loop().create_task(elector(client, "a").run(forever))
    await asyncio.sleep(1)

    async def hang(resource, obj):
        await forever()

    monkeypatch.setattr(client, "update", hang)
    task.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert holder(client) == "a"

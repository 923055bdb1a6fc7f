"""Parts that run on the leader only."""

import asyncio

import pytest

from k3py.api.resource import LEASES
from k3py.datastore.factory import open_backend
from k3py.server.leadership import Compaction, Led, make_election
from k3py.util.supervise import Policy, TaskScope
from tests.support.fake_client import FakeClient

pytestmark = pytest.mark.looptime


@pytest.fixture(autouse=True)
def loop_clock(monkeypatch):
    monkeypatch.setattr("k3py.util.clock.monotonic_s", lambda: asyncio.get_running_loop().time())


class Part:
    """Counts where it runs."""

    name = "part"
    policy = Policy.RESTART

    def __init__(self, where, who):
        self.where, self.who = where, who

    async def run(self, started):
        self.where.append(self.who)
        try:
            started()
            await asyncio.Event().wait()
        finally:
            self.where.remove(self.who)


def led(client, running, name):
    return Led(client, make_election("parts", name), [Part(running, name)])


async def test_the_part_runs_on_one_server_and_moves_when_that_stops():
    client, running = FakeClient(), []
    async with TaskScope() as scope:
        one, two = led(client, running, "a"), led(client, running, "b")
        first = scope.spawn(one.run(lambda: None), name="a")
        await asyncio.sleep(1)
        scope.spawn(two.run(lambda: None), name="b")
        await asyncio.sleep(60)
        assert running == ["a"]
        assert (one.health(), two.health()) == ({"part": None}, {})
        first.cancel()
        await asyncio.sleep(1)
        assert running == ["b"]
        assert (one.health(), two.health()) == ({}, {"part": None})
        scope.cancel()


async def test_a_leader_that_renews_no_more_is_replaced_ten_seconds_after_it_was_last_heard():
    client, running = FakeClient(), []
    metadata = {"name": "parts", "namespace": "kube-system"}
    spec = {"holderIdentity": "killed", "leaseDurationSeconds": 10, "leaseTransitions": 0}
    client.seed(LEASES, {"metadata": metadata, "spec": spec})
    async with TaskScope() as scope:
        scope.spawn(led(client, running, "b").run(lambda: None), name="b")
        await asyncio.sleep(5)
        last = await client.get(LEASES, "parts", namespace="kube-system")
        await client.update(LEASES, last | {"spec": spec | {"renewTime": "2026-01-01T00:00:00.000000Z"}})
        await asyncio.sleep(9.5)
        assert running == [], "nobody may lead before the lease has ended"
        await asyncio.sleep(1.5)
        assert running == ["b"]
        scope.cancel()


async def test_compaction_is_the_leaders(tmp_path):
    async with open_backend("memory://", history_s=300) as backend:
        compaction = Compaction(backend)
        assert not backend.retention._enabled.is_set()
        async with TaskScope() as scope:
            scope.spawn(compaction.run(lambda: None), name="compaction")
            await asyncio.sleep(1)
            assert backend.retention._enabled.is_set()
            scope.cancel()
        assert not backend.retention._enabled.is_set()

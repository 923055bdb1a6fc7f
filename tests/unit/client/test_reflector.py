import asyncio

import pytest

from k3py.api.resource import PODS
from k3py.api.status import ApiError
from k3py.client.reflector import HttpInformerFactory
from k3py.util.supervise import TaskScope
from tests.support.fake_client import FakeClient


def pod(name, **labels):
    return {"metadata": {"name": name, "namespace": "d", "labels": labels}, "spec": {}}


@pytest.fixture
def client():
    return FakeClient()


async def run(factory, body):
    async with TaskScope() as scope:
        started = asyncio.Event()
        scope.spawn(factory.run(started.set), name="informers")
        await started.wait()
        await body()
        scope.cancel()


async def until(condition):
    async with asyncio.timeout(600):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.looptime
async def test_lists_then_follows(client):
    client.seed(PODS, pod("a"))
    factory = HttpInformerFactory(client)
    informer = factory.informer(PODS)

    async def body():
        await informer.wait_synced()
        await until(lambda: ("watch", "pods", "") in client.actions)
        await asyncio.sleep(0.01)
        await client.create(PODS, pod("b"))
        await client.delete(PODS, "a", namespace="d")
        await until(lambda: [o["metadata"]["name"] for o in informer.lister.list()] == ["b"])

    await run(factory, body)


@pytest.mark.looptime
async def test_failures_are_retried_with_growing_pauses(client):
    client.seed(PODS, pod("a"))
    client.fail("list", PODS, ApiError(503, "ServiceUnavailable", "down"), times=4)
    factory = HttpInformerFactory(client)
    informer = factory.informer(PODS)

    async def body():
        start = asyncio.get_running_loop().time()
        await informer.wait_synced()
        assert 0.8 * 15 / 2 <= asyncio.get_running_loop().time() - start <= 0.8 * 15 * 1.5 + 1

    await run(factory, body)


@pytest.mark.looptime
async def test_expired_watch_lists_again_and_tells_the_differences(client):
    client.seed(PODS, pod("a"))
    client.seed(PODS, pod("b"))
    client.fail("watch", PODS, ApiError(410, "Expired", "too old resource version"))
    factory = HttpInformerFactory(client)
    informer = factory.informer(PODS)
    heard = []

    async def body():
        informer.add_handler(lambda old, new: heard.append((old is None, new is None)))
        await informer.wait_synced()
        client.remove(PODS, "a", "d")
        await until(lambda: len(informer.lister.list()) == 1)

    await run(factory, body)
    assert heard == [(True, False), (True, False), (False, True)]
    assert [verb for verb, *_ in client.actions if verb == "list"] == ["list", "list"]


@pytest.mark.looptime
async def test_of_a_whole_cluster_only_a_part_of_each_object_is_kept_where_that_is_wanted(client):
    client.seed(PODS, pod("a", big="x"))

    def reduce(obj):
        return {"metadata": {key: obj["metadata"][key] for key in ("name", "namespace", "resourceVersion")}}

    factory = HttpInformerFactory(client, reduced={PODS: reduce})
    whole, own = factory.informer(PODS), factory.informer(PODS, namespace="d")

    async def body():
        await whole.wait_synced()
        await own.wait_synced()
        await until(lambda: client.actions.count(("watch", "pods", "")) == 2 or len(client.actions) >= 4)
        await asyncio.sleep(0.01)
        await client.create(PODS, pod("b", big="y"))
        await until(lambda: len(whole.lister.list()) == len(own.lister.list()) == 2)
        assert all(set(one) == {"metadata"} and "labels" not in one["metadata"] for one in whole.lister.list())
        assert [one["metadata"]["labels"] for one in own.lister.list()] == [{"big": "x"}, {"big": "y"}]

    await run(factory, body)

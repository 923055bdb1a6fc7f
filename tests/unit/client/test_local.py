import asyncio

import pytest

from k3py.api.object import deep_copy
from k3py.api.status import ApiError
from k3py.api.user import User
from k3py.client.local import LocalClient
from k3py.client.local_informers import LocalInformerFactory
from k3py.datastore.factory import open_backend
from k3py.storage.factory import open_storage
from k3py.util.supervise import TaskScope
from tests.support.bare_dispatcher import BareDispatcher
from tests.support.kinds import WIDGET, widget

WIDGETS = WIDGET.resource
USER = User(name="system:kube-scheduler")


@pytest.fixture
async def storage():
    async with open_backend("memory://") as backend, open_storage(backend) as storage:
        yield storage


@pytest.fixture
async def client(storage):
    return LocalClient(BareDispatcher(storage, [WIDGET]), USER, "kube-scheduler/v1.35")


@pytest.fixture
async def informers(client):
    factory = LocalInformerFactory(client)
    async with TaskScope() as scope:
        started = asyncio.Event()
        scope.spawn(factory.run(started.set), name="informers")
        await started.wait()
        yield factory
        scope.cancel()


async def settle(condition):
    async with asyncio.timeout(2):
        while not condition():
            await asyncio.sleep(0)


async def test_objects_are_the_caches_own_and_requests_carry_the_user(client, storage):
    created = await client.create(WIDGETS, widget("a", spec={"x": 1}))
    got = await client.get(WIDGETS, "a", namespace="default")
    assert got is created is (await (await storage.store_for(WIDGET)).get("default", "a")).parsed
    request = client._dispatcher.requests[0]
    assert (request.user, request.user_agent, request.verb) == (USER, "kube-scheduler/v1.35", "create")


async def test_what_is_sent_is_copied_since_the_server_completes_it_in_place(client):
    shared = widget("a", spec={"list": [{}]})
    before = deep_copy(shared)
    await client.create(WIDGETS, shared)
    body = client._dispatcher.requests[0].body
    assert body is not shared
    assert body["spec"]["list"][0] is not shared["spec"]["list"][0]
    assert shared == before


async def test_stale_update_conflicts(client):
    created = await client.create(WIDGETS, widget("a"))
    await client.update(WIDGETS, {**created, "spec": {"x": 1}})
    with pytest.raises(ApiError) as caught:
        await client.update(WIDGETS, {**created, "spec": {"x": 2}})
    assert caught.value.code == 409


async def test_watch_goes_on_behind_the_revision_of_a_list(client):
    await client.create(WIDGETS, widget("a"))
    listed = await client.list(WIDGETS)
    async with client.watch(WIDGETS, resource_version=listed.resource_version) as events:
        await client.create(WIDGETS, widget("b"))
        await client.delete(WIDGETS, "a", namespace="default")
        seen = [await anext(events) for _ in range(2)]
    assert [(e.type, e.object["metadata"]["name"]) for e in seen] == [("ADDED", "b"), ("DELETED", "a")]


async def test_expired_revision_is_a_410(client, storage):
    created = await client.create(WIDGETS, widget("a"))
    (await storage.store_for(WIDGET))._cache.ring.start_revision = 10**9
    with pytest.raises(ApiError) as caught:
        async with client.watch(WIDGETS, resource_version=created["metadata"]["resourceVersion"]):
            pass
    assert caught.value.code == 410


async def test_informer_knows_what_was_there_and_hears_of_what_comes(client, informers):
    await client.create(WIDGETS, widget("a"))
    informer = informers.informer(WIDGETS)
    assert informers.informer(WIDGETS) is informer
    heard = []
    informer.add_handler(lambda old, new: heard.append((old, new)))
    await informer.wait_synced()
    assert [o["metadata"]["name"] for o in informer.lister.list()] == ["a"]
    await client.patch(WIDGETS, "a", {"spec": {"x": 1}}, namespace="default")
    await client.delete(WIDGETS, "a", namespace="default")
    await settle(lambda: len(heard) == 3)
    (none, added), (old, new), (last, gone) = heard
    assert none is None
    assert gone is None
    assert "spec" not in added
    assert (old, new["spec"], last["spec"]) == (added, {"x": 1}, {"x": 1})
    assert informer.lister.list() == []


async def test_informer_without_handlers_parses_nothing(client, informers, storage):
    await client.create(WIDGETS, widget("a"))
    informer = informers.informer(WIDGETS)
    await informer.wait_synced()
    view = await (await storage.store_for(WIDGET)).get("default", "a")
    view.parsed_or_none = None
    await client.create(WIDGETS, widget("b"))
    await settle(lambda: informer.lister._namespaces["default"].keys() == {"a", "b"})
    assert view.parsed_or_none is None
    assert informer.lister.find("default", "a") is view.parsed


async def test_informer_with_field_selector_follows_objects_in_and_out(client, informers):
    informer = informers.informer(WIDGETS, field_selector="spec.nodeName=n1")
    await informer.wait_synced()
    await client.create(WIDGETS, widget("a", spec={"nodeName": "n1"}))
    await settle(lambda: informer.lister.find("default", "a") is not None)
    await client.patch(WIDGETS, "a", {"spec": {"nodeName": "n2"}}, namespace="default")
    await settle(lambda: informer.lister.find("default", "a") is None)


async def test_late_handler_is_told_what_is_known(client, informers):
    await client.create(WIDGETS, widget("a"))
    informer = informers.informer(WIDGETS)
    await informer.wait_synced()
    heard = []
    informer.add_handler(lambda old, new: heard.append(new["metadata"]["name"]))
    assert heard == ["a"]


async def test_informer_that_lost_its_watch_hears_of_the_differences_only(client, informers, storage):
    await client.create(WIDGETS, widget("a"))
    await client.create(WIDGETS, widget("b"))
    informer = informers.informer(WIDGETS)
    await informer.wait_synced()
    heard = []
    informer.add_handler(lambda old, new: heard.append((old or new)["metadata"]["name"]))
    heard.clear()
    storage.drop(WIDGET)
    await client.delete(WIDGETS, "a", namespace="default")
    await client.create(WIDGETS, widget("c"))
    await settle(lambda: len(heard) >= 2)
    assert sorted(heard) == ["a", "c"]

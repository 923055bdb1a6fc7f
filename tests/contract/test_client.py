"""The contract of `client.interface`: the fake, the in-process client and the HTTP client behave alike."""

import asyncio

import pytest

from k3py.api.object import deep_copy
from k3py.api.resource import CONFIG_MAPS, PODS
from k3py.api.status import ApiError
from k3py.client.interface import PatchType
from tests.support.client_servers import run_client


@pytest.fixture(params=["fake", "local", "http"])
async def server(request):
    async with run_client(request.param) as (client, informers):
        yield client, informers


@pytest.fixture
def client(server):
    return server[0]


@pytest.fixture
def informers(server):
    return server[1]


def config_map(name, *, labels=None, **data):
    metadata = {"name": name, "namespace": "default"}
    if labels:
        metadata["labels"] = labels
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": data}


async def code_of(request):
    with pytest.raises(ApiError) as caught:
        await request
    return caught.value.code, caught.value.reason


async def take(events, count):
    async with asyncio.timeout(5):
        seen = []
        while len(seen) < count:
            event = await anext(events)
            if event.type != "BOOKMARK":
                seen.append((event.type, event.object["metadata"]["name"], event.object))
    return seen


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_created_object_has_what_the_server_sets_and_can_be_read(client):
    created = await client.create(CONFIG_MAPS, config_map("a", x="1"))
    metadata = created["metadata"]
    assert metadata["uid"]
    assert metadata["creationTimestamp"].endswith("Z")
    assert int(metadata["resourceVersion"]) > 0
    assert created["data"] == {"x": "1"}
    got = await client.get(CONFIG_MAPS, "a", namespace="default")
    assert got["metadata"]["uid"] == metadata["uid"]
    assert (got["kind"], got["apiVersion"]) == ("ConfigMap", "v1")


async def test_names_are_generated(client):
    obj = config_map("x")
    del obj["metadata"]["name"]
    obj["metadata"]["generateName"] = "web-"
    names = {(await client.create(CONFIG_MAPS, deep_copy(obj)))["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("web-") and len(name) == 9 for name in names)


async def test_taken_and_missing_names(client):
    await client.create(CONFIG_MAPS, config_map("a"))
    assert await code_of(client.create(CONFIG_MAPS, config_map("a"))) == (409, "AlreadyExists")
    assert await code_of(client.get(CONFIG_MAPS, "b", namespace="default")) == (404, "NotFound")
    assert await code_of(client.delete(CONFIG_MAPS, "b", namespace="default")) == (404, "NotFound")


async def test_stale_update_conflicts_and_an_equal_one_changes_nothing(client):
    created = await client.create(CONFIG_MAPS, config_map("a", x="1"))
    same = await client.update(CONFIG_MAPS, deep_copy(created))
    assert same["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]
    changed = deep_copy(created)
    changed["data"]["x"] = "2"
    updated = await client.update(CONFIG_MAPS, changed)
    assert int(updated["metadata"]["resourceVersion"]) > int(created["metadata"]["resourceVersion"])
    changed["data"]["x"] = "3"
    assert await code_of(client.update(CONFIG_MAPS, changed)) == (409, "Conflict")


async def test_what_a_client_sends_stays_its_own(client):
    obj = config_map("a", x="1")
    before = deep_copy(obj)
    await client.create(CONFIG_MAPS, obj)
    assert obj == before


async def test_patches(client):
    await client.create(CONFIG_MAPS, config_map("a", x="1", y="2"))
    place = {"namespace": "default"}
    merge = {"data": {"x": None, "z": "3"}}
    patched = await client.patch(CONFIG_MAPS, "a", merge, patch_type=PatchType.MERGE, **place)
    assert patched["data"] == {"y": "2", "z": "3"}
    strategic = {"metadata": {"finalizers": ["example.com/f"]}}
    patched = await client.patch(CONFIG_MAPS, "a", strategic, **place)
    assert patched["metadata"]["finalizers"] == ["example.com/f"]
    operations = [{"op": "test", "path": "/data/y", "value": "2"}, {"op": "remove", "path": "/data/y"}]
    patched = await client.patch(CONFIG_MAPS, "a", operations, patch_type=PatchType.JSON, **place)
    assert patched["data"] == {"z": "3"}


async def test_delete_respects_preconditions(client):
    created = await client.create(CONFIG_MAPS, config_map("a"))
    assert await code_of(client.delete(CONFIG_MAPS, "a", namespace="default", uid="other")) == (409, "Conflict")
    await client.delete(CONFIG_MAPS, "a", namespace="default", uid=created["metadata"]["uid"])
    assert await code_of(client.get(CONFIG_MAPS, "a", namespace="default")) == (404, "NotFound")


async def test_finalizers_hold_a_deleted_object_until_they_are_gone(client):
    obj = config_map("a")
    obj["metadata"]["finalizers"] = ["example.com/f"]
    await client.create(CONFIG_MAPS, obj)
    await client.delete(CONFIG_MAPS, "a", namespace="default")
    held = await client.get(CONFIG_MAPS, "a", namespace="default")
    assert held["metadata"]["deletionTimestamp"]
    patch = {"metadata": {"finalizers": None}}
    await client.patch(CONFIG_MAPS, "a", patch, patch_type=PatchType.MERGE, namespace="default")
    assert await code_of(client.get(CONFIG_MAPS, "a", namespace="default")) == (404, "NotFound")


async def test_list_selects(client):
    for name, labels in (("a", {"app": "x"}), ("b", {"app": "y"}), ("c", None)):
        await client.create(CONFIG_MAPS, config_map(name, labels=labels))

    async def names(**selectors):
        listed = await client.list(CONFIG_MAPS, **selectors)
        return [obj["metadata"]["name"] for obj in listed.items]

    assert await names() == ["a", "b", "c"]
    assert await names(label_selector="app") == ["a", "b"]
    assert await names(label_selector="app!=x", namespace="default") == ["b", "c"]
    assert await names(field_selector="metadata.name=c") == ["c"]
    assert await names(namespace="other") == []


async def test_watch_goes_on_behind_a_list(client):
    await client.create(CONFIG_MAPS, config_map("a"))
    listed = await client.list(CONFIG_MAPS, namespace="default")
    version = listed.resource_version
    async with client.watch(CONFIG_MAPS, namespace="default", resource_version=version) as events:
        await client.create(CONFIG_MAPS, config_map("b"))
        patch = {"data": {"x": "1"}}
        changed = await client.patch(CONFIG_MAPS, "a", patch, patch_type=PatchType.MERGE, namespace="default")
        await client.delete(CONFIG_MAPS, "b", namespace="default")
        seen = await take(events, 3)
    assert [one[:2] for one in seen] == [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
    assert seen[1][2]["metadata"]["resourceVersion"] == changed["metadata"]["resourceVersion"]
    assert int(seen[2][2]["metadata"]["resourceVersion"]) > int(changed["metadata"]["resourceVersion"])


async def test_watch_with_a_selector_sees_objects_come_and_go(client):
    await client.create(CONFIG_MAPS, config_map("a"))
    version = (await client.list(CONFIG_MAPS)).resource_version
    async with client.watch(CONFIG_MAPS, label_selector="app=x", resource_version=version) as events:
        for value in ("x", "y"):
            patch = {"metadata": {"labels": {"app": value}}}
            await client.patch(CONFIG_MAPS, "a", patch, patch_type=PatchType.MERGE, namespace="default")
        seen = await take(events, 2)
    assert [one[:2] for one in seen] == [("ADDED", "a"), ("DELETED", "a")]
    assert seen[1][2]["metadata"]["labels"] == {"app": "x"}


async def test_informer_lists_indexes_and_tells_changes(client, informers):
    await client.create(CONFIG_MAPS, config_map("a", labels={"app": "x"}))
    informer = informers.informer(CONFIG_MAPS)
    informer.add_index("app", lambda obj: [obj["metadata"].get("labels", {}).get("app", "")])
    heard = []
    informer.add_handler(lambda old, new: heard.append((old is not None, new is not None)))
    await informer.wait_synced()
    assert informer.lister.find("default", "a")["metadata"]["name"] == "a"
    patch = {"metadata": {"labels": {"app": "y"}}}
    await client.patch(CONFIG_MAPS, "a", patch, patch_type=PatchType.MERGE, namespace="default")
    await until(lambda: informer.lister.by_index("app", "y"))
    assert informer.lister.by_index("app", "x") == []
    await client.create(CONFIG_MAPS, config_map("b"))
    await client.delete(CONFIG_MAPS, "a", namespace="default")
    await until(lambda: [obj["metadata"]["name"] for obj in informer.lister.list("default")] == ["b"])
    assert heard == [(False, True), (True, True), (False, True), (True, False)]


async def test_informers_of_the_same_resource_are_one(informers):
    assert informers.informer(PODS) is informers.informer(PODS)
    assert informers.informer(PODS) is not informers.informer(PODS, namespace="default")

"""Documents and writes: the contract of `storage.interface.Store`."""

import asyncio

import pytest

from k3py.storage.errors import (
    ObjectExists,
    ObjectNotFound,
)
from k3py.storage.factory import open_storage
from k3py.storage.interface import ListQuery, WatchQuery
from tests.support.kinds import GADGET, WIDGET, widget
from tests.support.object_stores import change_to, names, remove, take


async def test_created_object_is_served_with_its_revision_and_canonical_keys(store, storage):
    view = await store.create(widget("a", spec={"b": 1, "a": 2}, labels={"x": "y"}))
    assert view.served == (
        b'{"kind":"Widget","apiVersion":"example.com/v1","metadata":{"resourceVersion":"%d",'
        b'"labels":{"x":"y"},"name":"a","namespace":"default","uid":"uid-a"},"spec":{"a":2,"b":1}}'
        % view.revision
    )
    assert view.revision == storage.current_revision
    assert (view.namespace, view.name, view.uid, view.labels) == ("default", "a", "uid-a", {"x": "y"})
    assert view.parsed["metadata"]["resourceVersion"] == str(view.revision)
    assert (await store.get("default", "a")).served == view.served


async def test_create_of_a_taken_name_fails(store):
    await store.create(widget("a"))
    with pytest.raises(ObjectExists):
        await store.create(widget("a"))


async def test_missing_object_is_not_found(store):
    with pytest.raises(ObjectNotFound):
        await store.get("default", "a")
    with pytest.raises(ObjectNotFound):
        await change_to(store, "a", spec={})


async def test_update_that_changes_nothing_keeps_the_revision_and_sends_no_event(store):
    created = await store.create(widget("a", spec={"x": 1, "y": 2}))
    async with store.watch(WatchQuery(after=created.revision)) as events:
        again = await change_to(store, "a", spec={"y": 2, "x": 1})
        assert again.revision == created.revision
        changed = await change_to(store, "a", spec={"x": 2})
        (item,) = await take(events, 1)
        assert item.object.revision == changed.revision > created.revision


async def test_concurrent_updates_lose_nothing(store):
    await store.create(widget("a", spec={"n": 0}))

    async def increment(view):
        n = view.parsed["spec"]["n"]
        await asyncio.sleep(0)
        return {**view.parsed, "spec": {"n": n + 1}}

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(store.update("default", "a", increment))
    assert (await store.get("default", "a")).parsed["spec"]["n"] == 10


async def test_what_a_change_raises_passes_through(store):
    await store.create(widget("a"))

    async def change(view):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await store.update("default", "a", change)


async def test_deleted_object_is_returned_with_the_revision_of_its_deletion(store, storage):
    created = await store.create(widget("a"))
    gone = await remove(store, "a")
    assert gone.revision == storage.current_revision > created.revision
    assert gone.parsed["metadata"]["resourceVersion"] == str(gone.revision)
    with pytest.raises(ObjectNotFound):
        await store.get("default", "a")


async def test_restarted_storage_serves_the_same_bytes(backend):
    async with open_storage(backend) as storage:
        view = await (await storage.store_for(WIDGET)).create(widget("a", spec={"x": "ü"}))
    async with open_storage(backend) as storage:
        again = await (await storage.store_for(WIDGET)).get("default", "a")
    assert (again.served, again.revision) == (view.served, view.revision)


async def test_stores_of_one_prefix_are_one_store_and_others_do_not_mix(storage):
    first, second = await storage.store_for(WIDGET), await storage.store_for(WIDGET)
    assert first is second
    gadgets = await storage.store_for(GADGET)
    await gadgets.create({"kind": "Gadget", "apiVersion": "v1", "metadata": {"name": "g"}})
    assert names((await gadgets.list(ListQuery())).items) == ["g"]
    assert (await first.list(ListQuery())).items == []

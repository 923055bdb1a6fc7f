"""Watches: the contract of `storage.interface.Store`."""

import asyncio

import orjson
import pytest

from k3py.api.selectors import parse_field_selector
from k3py.storage.errors import (
    RevisionExpired,
    StoreDropped,
)
from k3py.storage.factory import open_storage
from k3py.storage.interface import ListQuery, WatchQuery, WatchType
from tests.support.kinds import GADGET, WIDGET, widget
from tests.support.object_stores import change_to, fill, names, remove, take


async def test_watch_sees_every_later_change_in_order(store):
    created = await store.create(widget("a"))
    async with store.watch(WatchQuery(after=created.revision)) as events:
        second = await store.create(widget("b"))
        changed = await change_to(store, "a", spec={"x": 1})
        gone = await remove(store, "b")
        items = await take(events, 3)
    assert [(i.type, i.object.name, i.object.revision) for i in items] == [
        (WatchType.ADDED, "b", second.revision),
        (WatchType.MODIFIED, "a", changed.revision),
        (WatchType.DELETED, "b", gone.revision),
    ]
    assert items[1].json_line == b'{"type":"MODIFIED","object":' + changed.served + b"}\n"


async def test_watch_resumes_from_any_recent_revision(store):
    revisions = [(await store.create(widget(f"w{i}"))).revision for i in range(5)]
    for i, revision in enumerate(revisions[:-1]):
        async with store.watch(WatchQuery(after=revision)) as events:
            items = await take(events, 4 - i)
            assert [item.object.revision for item in items] == revisions[i + 1 :]


async def test_watch_without_revision_starts_with_the_current_objects(store):
    await fill(store, "a/1", "a/2")
    async with store.watch(WatchQuery()) as events:
        items = await take(events, 2)
        assert [(i.type, i.object.name) for i in items] == [(WatchType.ADDED, "1"), (WatchType.ADDED, "2")]
        await fill(store, "a/3")
        (item,) = await take(events, 1)
        assert (item.type, item.object.name) == (WatchType.ADDED, "3")


async def test_streaming_list_marks_the_end_of_its_initial_events(store):
    await fill(store, "a/1")
    async with store.watch(WatchQuery(initial_events=True, bookmarks=True)) as events:
        first, mark = await take(events, 2)
        assert first.object.name == "1"
        assert mark.ends_initial_events
        assert orjson.loads(mark.json_line) == {
            "type": "BOOKMARK",
            "object": {
                "kind": "Widget",
                "apiVersion": "example.com/v1",
                "metadata": {
                    "resourceVersion": str(mark.object.revision),
                    "annotations": {"k8s.io/initial-events-end": "true"},
                },
            },
        }
        await fill(store, "a/2")
        assert (await take(events, 1))[0].object.revision == mark.object.revision + 1


async def test_selector_turns_changes_into_added_and_deleted(store):
    created = await store.create(widget("a", spec={"nodeName": ""}))
    query = WatchQuery(after=created.revision, fields=parse_field_selector("spec.nodeName=n1"))
    async with store.watch(query) as events:
        await change_to(store, "a", status={"phase": "Pending"})
        bound = await change_to(store, "a", spec={"nodeName": "n1"})
        moved = await change_to(store, "a", spec={"nodeName": "n2"})
        added, deleted = await take(events, 2)
    assert (added.type, added.object.revision) == (WatchType.ADDED, bound.revision)
    assert (deleted.type, deleted.object.revision) == (WatchType.DELETED, moved.revision)
    assert deleted.object.parsed["spec"] == {"nodeName": "n1"}, "the last state that matched"


async def test_watchers_of_the_same_change_share_one_item(store):
    created = await store.create(widget("a"))
    query = WatchQuery(after=created.revision)
    async with store.watch(query) as one, store.watch(query) as two:
        await change_to(store, "a", spec={})
        (first,), (second,) = await take(one, 1), await take(two, 1)
        assert first is second


@pytest.mark.looptime
async def test_a_bookmark_comes_shortly_before_a_watch_ends(store, storage):
    created = await store.create(widget("a"))
    started_s = asyncio.get_running_loop().time()
    query = WatchQuery(after=created.revision, bookmarks=True, lifetime_s=5)
    async with store.watch(query) as events:
        (mark,) = await anext(events)
    assert mark.type == WatchType.BOOKMARK
    assert asyncio.get_running_loop().time() - started_s < 5


@pytest.mark.looptime
async def test_bookmarks_come_about_once_a_minute_and_carry_progress_of_other_kinds(store, storage):
    gadgets = await storage.store_for(GADGET)
    created = await store.create(widget("a"))
    async with store.watch(WatchQuery(after=created.revision, bookmarks=True)) as events:
        view = await gadgets.create({"kind": "Gadget", "apiVersion": "v1", "metadata": {"name": "g"}})
        start = asyncio.get_running_loop().time()
        async with asyncio.timeout(120):
            (mark,) = await anext(events)
        assert asyncio.get_running_loop().time() - start <= 60.5
    assert (mark.type, mark.object.revision) == (WatchType.BOOKMARK, view.revision)
    assert not mark.ends_initial_events


async def test_watch_from_before_the_cache_is_told_to_list_again(backend):
    async with open_storage(backend) as storage:
        store = await storage.store_for(WIDGET)
        old = await store.create(widget("a"))
        await store.create(widget("b"))
    async with open_storage(backend) as storage:
        store = await storage.store_for(WIDGET)
        with pytest.raises(RevisionExpired):
            async with store.watch(WatchQuery(after=old.revision)):
                pass


async def test_slow_watcher_is_ended_and_others_go_on(store):
    store._cache.ring._max_events = 20
    created = await store.create(widget("a"))
    query = WatchQuery(after=created.revision)
    async with store.watch(query) as slow, store.watch(query) as fast:
        seen = 0
        for i in range(600):
            await change_to(store, "a", spec={"n": i})
            seen += len(await anext(fast))
        assert seen == 600
        with pytest.raises(RevisionExpired):
            await anext(slow)


async def test_watches_end_when_storage_closes(backend):
    async with open_storage(backend) as storage:
        store = await storage.store_for(WIDGET)
        watch = store.watch(WatchQuery())
        events = await watch.__aenter__()
    with pytest.raises(Exception, match="closed"):
        await anext(events)
    await watch.__aexit__(None, None, None)


async def test_dropped_kind_ends_its_watches_and_can_come_back(storage):
    store = await storage.store_for(WIDGET)
    await store.create(widget("a"))
    async with store.watch(WatchQuery(initial_events=True)) as events:
        await take(events, 2)
        storage.drop(WIDGET)
        with pytest.raises(StoreDropped):
            await anext(events)
    assert names((await (await storage.store_for(WIDGET)).list(ListQuery())).items) == ["a"]


async def test_changed_shared_document_is_found_out(backend):
    async def misbehave():
        async with open_storage(backend, detect_mutations=True) as storage:
            store = await storage.store_for(WIDGET)
            (await store.create(widget("a", spec={}))).parsed["spec"]["mine"] = True

    with pytest.raises(AssertionError, match="default/a"):
        await misbehave()

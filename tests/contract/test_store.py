"""The contract of `storage.interface.Store`, run on the watch cache over the memory and the SQLite datastore."""

import asyncio

import orjson
import pytest

from k3py.api.selectors import parse_field_selector, parse_label_selector
from k3py.datastore.factory import open_backend
from k3py.storage.continue_token import parse_continue_token
from k3py.storage.errors import (
    BadContinueToken,
    ObjectExists,
    ObjectNotFound,
    RevisionExpired,
    RevisionTooLarge,
    StoreDropped,
)
from k3py.storage.factory import open_storage
from k3py.storage.interface import Deleted, ListQuery, WatchQuery, WatchType
from tests.support.kinds import GADGET, WIDGET, widget


@pytest.fixture(params=["memory", "sqlite"])
async def backend(request, tmp_path):
    if request.param == "sqlite" and request.node.get_closest_marker("looptime"):
        pytest.skip("virtual time and the database's thread do not go together")
    async with open_backend("memory://" if request.param == "memory" else "", data_dir=tmp_path) as backend:
        yield backend


@pytest.fixture
async def storage(backend):
    async with open_storage(backend, detect_mutations=True) as storage:
        yield storage


@pytest.fixture
async def store(storage):
    return await storage.store_for(WIDGET)


def names(items):
    return [view.name for view in items]


async def change_to(store, name, namespace="default", **keys):
    async def change(view):
        return {**view.parsed, **keys}

    return await store.update(namespace, name, change)


async def remove(store, name, namespace="default"):
    async def change(view):
        return Deleted()

    return await store.update(namespace, name, change)


async def take(events, count):
    items = []
    async with asyncio.timeout(2):
        while len(items) < count:
            items += await anext(events)
    assert len(items) == count
    return items


# --- documents and writes


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


# --- lists


async def fill(store, *keys):
    for key in keys:
        namespace, _, name = key.partition("/")
        await store.create(widget(name, namespace))


async def test_list_is_in_key_order_and_by_namespace(store):
    await fill(store, "b/2", "a/9", "a-b/1", "a/1")
    everything = await store.list(ListQuery())
    assert [(v.namespace, v.name) for v in everything.items] == [
        ("a-b", "1"),
        ("a", "1"),
        ("a", "9"),
        ("b", "2"),
    ]
    assert names((await store.list(ListQuery(namespace="a"))).items) == ["1", "9"]


async def test_list_revision_covers_writes_of_other_kinds(store, storage):
    gadgets = await storage.store_for(GADGET)
    view = await gadgets.create({"kind": "Gadget", "apiVersion": "v1", "metadata": {"name": "g"}})
    assert (await store.list(ListQuery())).revision >= view.revision


async def test_list_selects_by_labels_and_fields(store):
    await store.create(widget("a", labels={"app": "x"}, spec={"nodeName": "n1"}))
    await store.create(widget("b", labels={"app": "y"}, spec={"nodeName": "n1"}))
    await store.create(widget("c", spec={"nodeName": "n2"}))

    async def select(labels="", fields=""):
        query = ListQuery(
            labels=parse_label_selector(labels) if labels else None,
            fields=parse_field_selector(fields) if fields else None,
        )
        return names((await store.list(query)).items)

    assert await select("app in (x,y)") == ["a", "b"]
    assert await select("!app") == ["c"]
    assert await select("", "spec.nodeName=n1") == ["a", "b"]
    assert await select("app=y", "spec.nodeName!=n2") == ["b"]
    assert await select("", "metadata.name=c") == ["c"]
    assert await select("", "metadata.name=c,metadata.namespace=other") == []


async def test_pages_show_the_state_of_the_first_page(store):
    await fill(store, "a/1", "a/2", "a/3", "a/4", "a/5")
    first = await store.list(ListQuery(limit=2))
    assert names(first.items) == ["1", "2"]
    assert first.remaining == 3
    await remove(store, "3", "a")
    await change_to(store, "4", "a", spec={"new": True})
    await fill(store, "a/35")
    second = await store.list(ListQuery(limit=2, continue_token=first.continue_token))
    assert names(second.items) == ["3", "4"]
    assert "spec" not in second.items[1].parsed
    assert (second.revision, second.remaining) == (first.revision, 1)
    last = await store.list(ListQuery(limit=2, continue_token=second.continue_token))
    assert names(last.items) == ["5"]
    assert (last.continue_token, last.remaining) == ("", None)


async def test_remaining_is_not_told_when_selectors_filter(store):
    await fill(store, "a/1", "a/2", "a/3")
    page = await store.list(ListQuery(limit=1, labels=parse_label_selector("!x")))
    assert page.continue_token
    assert page.remaining is None


async def test_compacted_page_expires_with_a_token_that_goes_on_inconsistently(store, backend):
    await fill(store, "a/1", "a/2", "a/3")
    first = await store.list(ListQuery(limit=1))
    store._cache.ring.start_revision = first.revision + 1  # what a long history does
    await fill(store, "a/4")
    await backend.compact(backend.current_revision)
    with pytest.raises(RevisionExpired) as caught:
        await store.list(ListQuery(limit=1, continue_token=first.continue_token))
    rest = await store.list(ListQuery(continue_token=caught.value.next_token))
    assert names(rest.items) == ["2", "3", "4"]
    assert rest.revision > first.revision


async def test_page_behind_the_ring_comes_from_the_datastores_history(store):
    await fill(store, "a/1", "b/2", "b/3")
    first = await store.list(ListQuery(limit=1))
    await remove(store, "2", "b")
    store._cache.ring.start_revision = first.revision + 1
    rest = await store.list(ListQuery(continue_token=first.continue_token))
    assert names(rest.items) == ["2", "3"]


async def test_old_token_expires_even_if_nothing_was_written(store, monkeypatch):
    await fill(store, "a/1", "a/2")
    token = (await store.list(ListQuery(limit=1))).continue_token
    issued = parse_continue_token(token).issued_s
    monkeypatch.setattr("k3py.util.clock.wall_s", lambda: issued + 600)
    with pytest.raises(RevisionExpired):
        await store.list(ListQuery(continue_token=token))


@pytest.mark.parametrize("token", ["rubbish!", "e30", "eyJ2IjoidjAiLCJydiI6MSwic3RhcnQiOiJhIn0"])
async def test_foreign_token_is_refused(store, token):
    with pytest.raises(BadContinueToken):
        await store.list(ListQuery(continue_token=token))


async def test_exact_revision_shows_the_past_and_not_older_than_the_present(store):
    await fill(store, "a/1")
    past = (await store.list(ListQuery())).revision
    await fill(store, "a/2")
    exact = await store.list(ListQuery(revision=past, match="Exact"))
    assert (names(exact.items), exact.revision) == (["1"], past)
    fresh = await store.list(ListQuery(revision=past, match="NotOlderThan"))
    assert names(fresh.items) == ["1", "2"]
    legacy = await store.list(ListQuery(revision=past, limit=10))
    assert names(legacy.items) == ["1"], "a revision with a limit means exactly that one"


@pytest.mark.looptime
async def test_future_revision_is_waited_for_three_seconds(store, storage):
    await fill(store, "a/1")
    loop = asyncio.get_running_loop()
    start = loop.time()
    with pytest.raises(RevisionTooLarge) as caught:
        await store.list(ListQuery(revision=storage.current_revision + 5))
    assert loop.time() - start == pytest.approx(3, abs=0.1)
    assert caught.value.current == storage.current_revision
    async with asyncio.TaskGroup() as group:
        listing = group.create_task(store.list(ListQuery(revision=storage.current_revision + 1)))
        await asyncio.sleep(0.5)
        await fill(store, "a/2")
        assert names((await listing).items) == ["1", "2"]


# --- watches


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

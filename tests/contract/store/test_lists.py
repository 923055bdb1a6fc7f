"""Lists: the contract of `storage.interface.Store`."""

import asyncio

import pytest

from k3py.api.selectors import parse_field_selector, parse_label_selector
from k3py.storage.continue_token import parse_continue_token
from k3py.storage.errors import (
    BadContinueToken,
    RevisionExpired,
    RevisionTooLarge,
)
from k3py.storage.interface import ListQuery
from tests.support.kinds import GADGET, widget
from tests.support.object_stores import change_to, fill, names, remove


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

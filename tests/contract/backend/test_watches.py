"""Watches: each change once, in order, whole revisions. What every `Backend` promises; numbers in brackets: spec/datastore.md."""

from __future__ import annotations

import asyncio

import pytest

from k3py.datastore.errors import (
    Unavailable,
)
from k3py.datastore.interface import (
    DeleteOp,
    EventType,
    PutOp,
)
from tests.support.backends import ALL, events_of


async def test_a_watch_delivers_changes_in_order_with_what_was_before(opening):  # 48, 49
    async with opening() as backend, backend.watch(b"/a/", b"/a0", after=1) as watch:
        await backend.create(b"/a/x", b"1")
        await backend.create(b"/b", b"1")
        await backend.update(b"/a/x", b"2", expected=2)
        await backend.delete(b"/a/x", expected=4)
        created, updated, deleted = await events_of(watch, 3)
        assert (created.type, created.kv.value, created.kv.mod_revision, created.previous) == (
            EventType.PUT,
            b"1",
            2,
            None,
        )
        assert (updated.kv.value, updated.kv.mod_revision, updated.kv.version) == (b"2", 4, 2)
        assert (updated.previous.value, updated.previous.mod_revision) == (b"1", 2)
        assert deleted.type is EventType.DELETE
        assert (deleted.kv.key, deleted.kv.value, deleted.kv.mod_revision, deleted.kv.version) == (
            b"/a/x",
            b"",
            5,
            0,
        )
        assert deleted.previous == updated.kv


async def test_a_watch_from_the_past_is_equal_to_a_live_one(opening):
    async with opening() as backend, backend.watch(*ALL, after=1) as live:
        await backend.create(b"/a", b"1")
        await backend.update(b"/a", b"2", expected=2)
        await backend.txn((), (PutOp(b"/b", b"1"), PutOp(b"/c", b"1"), DeleteOp(b"/a")))
        await backend.txn((), (PutOp(b"/c", b"2"), PutOp(b"/b", b"2")))
        seen = await events_of(live, 7)
        async with backend.watch(*ALL, after=1) as late:
            assert await events_of(late, 7) == seen
        async with backend.watch(*ALL, after=3) as later:
            assert await events_of(later, 5) == seen[2:]
        async with backend.watch(b"/b", after=1) as single:
            assert [event.kv.value for event in await events_of(single, 2)] == [b"1", b"2"]


async def test_a_revision_is_never_split(opening):  # 50
    async with opening() as backend:
        for number in range(3):
            await backend.txn((), [PutOp(b"/%d/%d" % (number, item), b"") for item in range(120)])
        async with backend.watch(*ALL, after=1) as watch:
            batches = []
            while sum(len(batch.events) for batch in batches) < 360:
                batches.append(await asyncio.wait_for(anext(watch), 5))
        for batch in batches:
            assert len(batch.events) % 120 == 0
            assert batch.revision >= batch.events[-1].kv.mod_revision


async def test_a_watch_ahead_of_the_store_waits(opening):  # 62
    async with opening() as backend, backend.watch(*ALL, after=3) as watch:
        for name in (b"/a", b"/b", b"/c"):
            await backend.create(name, b"")
        (event,) = await events_of(watch, 1)
        assert event.kv.key == b"/c"


async def test_watches_of_many_shapes_get_what_lies_in_their_range(opening):
    async with opening() as backend:
        shapes = {
            "key": (b"/a/b", None),
            "prefix": (b"/a/", b"/a0"),
            "range": (b"/a/b", b"/a/d"),
            "from": (b"/a/c", b"\0"),
            "all": ALL,
            "binary prefix": (b"\xff", b"\0"),
        }
        names = (b"/a/a", b"/a/b", b"/a/c", b"/a/d", b"/b", b"\xff\x01")
        seen = {}
        watches = {name: backend.watch(*shape, after=1) for name, shape in shapes.items()}
        opened = {name: await watch.__aenter__() for name, watch in watches.items()}
        for name in names:
            await backend.create(name, b"")
        for name, watch in opened.items():
            seen[name], reached = [], 0
            while reached < backend.current_revision:
                watch.request_progress()
                batch = await asyncio.wait_for(anext(watch), 5)
                seen[name] += [event.kv.key for event in batch.events]
                reached = batch.revision
            await watches[name].__aexit__(None, None, None)
        assert seen == {
            "key": [b"/a/b"],
            "prefix": [b"/a/a", b"/a/b", b"/a/c", b"/a/d"],
            "range": [b"/a/b", b"/a/c"],
            "from": [b"/a/c", b"/a/d", b"/b", b"\xff\x01"],
            "all": list(names),
            "binary prefix": [b"\xff\x01"],
        }


async def test_progress_is_told_on_request_and_covers_everything_up_to_now(opening):  # 54, 107
    async with opening() as backend, backend.watch(b"/a", after=1) as watch:
        for number in range(3):
            await backend.create(b"/%d" % number, b"")
        watch.request_progress()
        batch = await asyncio.wait_for(anext(watch), 5)
        assert (batch.events, batch.revision) == ((), 4)
        async with backend.watch(b"/a", after=1) as late:
            late.request_progress()
            assert (await asyncio.wait_for(anext(late), 5)).revision == 4


async def test_a_slow_watcher_loses_nothing_and_slows_nobody(opening):
    async with (
        opening() as backend,
        backend.watch(*ALL, after=1) as slow,
        backend.watch(*ALL, after=1) as fast,
    ):
        total = 0
        for number in range(30):
            await backend.txn((), [PutOp(b"/%d/%d" % (number, item), b"x" * 10) for item in range(100)])
            total += len(await events_of(fast, 100))
        assert total == 3000
        seen = await events_of(slow, 3000)
        revisions = [event.kv.mod_revision for event in seen]
        assert revisions == sorted(revisions)
        assert len({event.kv.key for event in seen}) == 3000
        await backend.create(b"/last", b"")
        assert [event.kv.key for event in await events_of(slow, 1)] == [b"/last"]


async def test_a_watch_ends_as_unavailable_when_the_store_closes(opening):
    async with opening() as backend:
        opened = backend.watch(*ALL, after=1)
        watch = await opened.__aenter__()
        await backend.create(b"/a", b"")
    assert len((await anext(watch)).events) == 1
    with pytest.raises(Unavailable):
        await anext(watch)
    with pytest.raises(Unavailable):
        await backend.create(b"/b", b"")

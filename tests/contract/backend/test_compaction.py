"""Compaction and what it frees. What every `Backend` promises; numbers in brackets: spec/datastore.md."""

from __future__ import annotations

import asyncio

import pytest

from k3py.datastore.errors import (
    Compacted,
    FutureRevision,
)
from k3py.datastore.interface import (
    EventType,
)
from tests.support.backends import ALL, events_of, purged, put


async def test_compaction_can_wait_until_the_space_is_free(opening):
    async with opening() as backend:
        for number in range(50):
            await put(backend, b"/a", b"%d" % number)
        await backend.compact(backend.current_revision, physical=True)
        assert (await backend.range(b"/a")).kvs[0].value == b"49"


async def test_compaction_takes_old_revisions_from_readers_at_once(opening):  # 38, 39, 102
    async with opening() as backend:
        await backend.create(b"/a", b"1")  # 2
        await backend.update(b"/a", b"2", expected=2)  # 3
        await backend.update(b"/a", b"3", expected=3)  # 4
        await backend.compact(3)
        assert (await backend.range(b"/a", revision=3)).kvs[0].value == b"2"
        with pytest.raises(Compacted) as caught:
            await backend.range(b"/a", revision=2)
        assert caught.value.compact_revision == 3
        for revision in (3, 2):
            with pytest.raises(Compacted):
                await backend.compact(revision)
        with pytest.raises(FutureRevision):
            await backend.compact(5)
        assert (await backend.status()).compact_revision == 3
        await backend.compact(4)
        assert (await backend.range(b"/a")).kvs[0].value == b"3"


async def test_defragmenting_keeps_everything(opening):
    async with opening() as backend:
        revision = await backend.create(b"/big", b"x" * 50_000)
        for _ in range(30):
            revision, _ = await backend.update(b"/big", b"x" * 50_000, expected=revision)
        await backend.create(b"/other", b"1")
        await backend.compact(backend.current_revision, physical=True)
        async with asyncio.TaskGroup() as tasks:
            defragmenting = tasks.create_task(backend.defragment())
            written = await backend.create(b"/meanwhile", b"2")
        await defragmenting
        result = await backend.range(*ALL)
        assert [(kv.key, kv.mod_revision) for kv in result.kvs] == [
            (b"/big", revision),
            (b"/meanwhile", written),
            (b"/other", revision + 1),
        ]


async def test_a_watch_may_start_at_the_compaction_line_but_not_below(opening):  # 39, 40, 106
    async with opening() as backend:
        await backend.create(b"/a", b"1")  # 2
        await backend.update(b"/a", b"2", expected=2)  # 3
        await backend.delete(b"/a", expected=3)  # 4
        await backend.create(b"/b", b"1")  # 5
        await backend.compact(4)
        await purged(backend)
        if not opening.keeps_previous:
            async with backend.watch(*ALL, after=3) as watch:
                with pytest.raises(Compacted) as caught:
                    await anext(watch)
                assert caught.value.compact_revision == 5
            async with backend.watch(*ALL, after=4) as watch:
                assert [event.kv.key for event in await events_of(watch, 1)] == [b"/b"]
            return
        async with backend.watch(*ALL, after=3) as watch:
            deleted, created = await events_of(watch, 2)
            assert (deleted.type, deleted.previous.value, deleted.kv.mod_revision) == (
                EventType.DELETE,
                b"2",
                4,
            )
            assert created.kv.key == b"/b"
        async with backend.watch(*ALL, after=2) as watch:
            with pytest.raises(Compacted) as caught:
                await anext(watch)
            assert caught.value.compact_revision == 4


async def test_nothing_readable_is_lost_by_purging(opening):
    async with opening() as backend:
        for number in range(40):
            key = b"/%d" % (number % 7)
            found = (await backend.range(key)).kvs
            if found and number % 5 == 0:
                await backend.delete(key, expected=found[0].mod_revision)
            else:
                await put(backend, key, b"%d" % number)
        current = backend.current_revision
        before = {r: (await backend.range(*ALL, revision=r)).kvs for r in range(20, current + 1)}
        async with backend.watch(*ALL, after=19) as watch:
            changes = await events_of(watch, current - 19)
        await backend.compact(20)
        await purged(backend)
        after = {r: (await backend.range(*ALL, revision=r)).kvs for r in range(20, current + 1)}
        assert after == before
        if not opening.keeps_previous:
            return
        async with backend.watch(*ALL, after=19) as watch:
            assert await events_of(watch, current - 19) == changes

"""Writes, concurrent ones too, and that they last. What every `Backend` promises; numbers in brackets: spec/datastore.md."""

from __future__ import annotations

import asyncio

import pytest

from k3py.datastore.errors import (
    Compacted,
    LeaseNotFound,
)
from tests.support.backends import ALL, DRIVERS, keys_of, purged


async def test_an_empty_store_is_at_revision_1_and_the_first_write_gets_2(opening):  # 88, 89
    async with opening() as backend:
        assert backend.current_revision == 1
        missing = await backend.range(b"/a")
        assert (missing.kvs, missing.count, missing.more, missing.revision) == ((), 0, False, 1)
        assert await backend.create(b"/a", b"1") == 2
        assert backend.current_revision == 2


async def test_create_stores_the_key_once(opening):  # 90, 91
    async with opening() as backend:
        revision = await backend.create(b"/a", b"1")
        (kv,) = (await backend.range(b"/a")).kvs
        assert (kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease) == (
            b"/a",
            b"1",
            revision,
            revision,
            1,
            0,
        )
        assert await backend.create(b"/a", b"2") is None
        assert backend.current_revision == revision
        assert (await backend.range(b"/a")).kvs == (kv,)


async def test_update_needs_the_expected_revision(opening):  # 92, 93
    async with opening() as backend:
        first = await backend.create(b"/a", b"1")
        assert await backend.update(b"/a", b"2", expected=first) == (first + 1, None)
        refused, found = await backend.update(b"/a", b"3", expected=first)
        assert refused is None
        assert (found.value, found.mod_revision, found.create_revision, found.version) == (
            b"2",
            first + 1,
            first,
            2,
        )
        assert await backend.update(b"/b", b"3", expected=first) == (None, None)
        assert backend.current_revision == first + 1


async def test_delete_needs_the_expected_revision_and_returns_what_was_there(opening):  # 94, 96
    async with opening() as backend:
        first = await backend.create(b"/a", b"1")
        assert (await backend.delete(b"/a", expected=first + 7))[0] is None
        revision, gone = await backend.delete(b"/a", expected=first)
        assert (revision, gone.value, gone.mod_revision) == (first + 1, b"1", first)
        assert await backend.delete(b"/a", expected=first) == (None, None)
        again = await backend.create(b"/a", b"2")
        (kv,) = (await backend.range(b"/a")).kvs
        assert (again, kv.create_revision, kv.version) == (first + 2, first + 2, 1)


async def test_keys_and_values_are_any_bytes(opening):
    async with opening() as backend:
        keys = [b"\x00\xff", b"/\x00", b"/a'\"%_", b"\xff\xff", "/ä".encode()]
        for key in keys:
            assert await backend.create(key, key * 3 + b"\x00") is not None
        assert await keys_of(backend, *ALL) == sorted(keys)
        assert (await backend.range(b"\xff\xff")).kvs[0].value == b"\xff" * 6 + b"\x00"
        assert await backend.create(b"/empty", b"") is not None
        assert (await backend.range(b"/empty")).kvs[0].value == b""


async def test_big_values_come_back_whole(opening):
    value = bytes(range(256)) * (4096 if opening.is_etcd else 8192)
    async with opening() as backend:
        await backend.create(b"/big", value)
        assert (await backend.range(b"/big")).kvs[0].value == value


async def test_concurrent_writers_get_dense_revisions_and_one_winner_each(opening):
    async with opening() as backend:
        outcomes = []

        async def writer(name):
            for number in range(20):
                outcomes.append(await backend.create(b"/%d" % number, name))

        async with asyncio.TaskGroup() as tasks:
            for name in range(8):
                tasks.create_task(writer(b"%d" % name))
        won = [revision for revision in outcomes if revision is not None]
        assert sorted(won) == list(range(2, 22))
        assert backend.current_revision == 21


async def test_updates_of_one_key_queued_together_see_each_other(opening):
    async with opening() as backend:
        first = await backend.create(b"/a", b"0")
        async with asyncio.TaskGroup() as tasks:
            jobs = [tasks.create_task(backend.update(b"/a", b"%d" % n, expected=first)) for n in range(5)]
        results = [job.result() for job in jobs]
        assert [revision for revision, _ in results if revision] == [first + 1]
        assert {found.mod_revision for revision, found in results if revision is None} == {first + 1}


async def test_what_was_written_is_there_after_reopening(opening):
    if not opening.durable:
        pytest.skip("this driver keeps nothing")
    async with opening() as backend:
        lease = await backend.grant_lease(3600)
        await backend.create(b"/a", b"1")
        await backend.create(b"/b", b"1", lease=lease)
        await backend.delete(b"/a", expected=2)
        await backend.compact(4)
        await purged(backend)
    async with opening() as backend:
        assert backend.current_revision == 4
        assert await keys_of(backend, *ALL) == [b"/b"]
        with pytest.raises(Compacted):
            await backend.range(b"/b", revision=3)
        assert await backend.create(b"/c", b"1", lease=lease) == 5
        await backend.revoke_lease(lease)
        assert await keys_of(backend, *ALL) == []
    async with opening() as backend:
        assert backend.current_revision == 6
        with pytest.raises(LeaseNotFound):
            await backend.revoke_lease(lease)


async def test_status_names_driver_revisions_and_size(opening):
    async with opening() as backend:
        await backend.create(b"/a", b"x" * 1000)
        status = await backend.status()
        assert status.revision == 2
        assert status.size_bytes >= status.size_in_use_bytes > 0
        assert status.driver in DRIVERS


async def test_a_cancelled_caller_leaves_the_store_working(opening):
    async with opening() as backend:
        task = asyncio.get_running_loop().create_task(backend.create(b"/a", b"1"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await backend.create(b"/b", b"1") is not None

"""Ranges, now and in the past. What every `Backend` promises; numbers in brackets: spec/datastore.md."""

from __future__ import annotations

import pytest

from k3py.datastore.errors import (
    FutureRevision,
)
from tests.support.backends import ALL, keys_of


async def test_a_range_is_half_open_sorted_and_counted(opening):  # 97, 98, 99
    async with opening() as backend:
        for name in (b"d", b"b", b"a", b"c", b"e"):
            await backend.create(b"/x/" + name, b"v" + name)
        await backend.create(b"/y", b"")
        assert await keys_of(backend, b"/x/b", b"/x/d") == [b"/x/b", b"/x/c"]
        page = await backend.range(b"/x/", b"/x0", limit=2)
        assert ([kv.key for kv in page.kvs], page.count, page.more) == ([b"/x/a", b"/x/b"], 5, True)
        counted = await backend.range(b"/x/", b"/x0", limit=2, count_only=True)
        assert (counted.kvs, counted.count) == ((), 5)
        bare = await backend.range(b"/x/", b"/x0", keys_only=True)
        assert next((kv.key, kv.value, kv.version) for kv in bare.kvs) == (b"/x/a", b"", 1)
        rest = await backend.range(b"/x/b\0", b"/x0", limit=10)
        assert ([kv.key for kv in rest.kvs], rest.count, rest.more) == (
            [b"/x/c", b"/x/d", b"/x/e"],
            3,
            False,
        )
        assert await keys_of(backend, b"/x/e", b"\0") == [b"/x/e", b"/y"]
        assert await keys_of(backend, b"/x/e", b"/x/a") == []


async def test_an_old_revision_shows_what_was_then(opening):  # 100
    async with opening() as backend:
        await backend.create(b"/a", b"1")  # 2
        await backend.create(b"/b", b"1")  # 3
        await backend.update(b"/a", b"2", expected=2)  # 4
        await backend.delete(b"/b", expected=3)  # 5
        await backend.create(b"/b", b"2")  # 6
        await backend.create(b"/c", b"1")  # 7

        async def at(revision, **options):
            result = await backend.range(*ALL, revision=revision, **options)
            assert result.revision == 7
            return [(kv.key, kv.value, kv.mod_revision, kv.version) for kv in result.kvs], result.count

        assert await at(2) == ([(b"/a", b"1", 2, 1)], 1)
        assert await at(3) == ([(b"/a", b"1", 2, 1), (b"/b", b"1", 3, 1)], 2)
        assert await at(4) == ([(b"/a", b"2", 4, 2), (b"/b", b"1", 3, 1)], 2)
        assert await at(5) == ([(b"/a", b"2", 4, 2)], 1)
        assert await at(6, limit=1) == ([(b"/a", b"2", 4, 2)], 2)
        assert await at(6, count_only=True) == ([], 2)
        assert await at(7) == (
            [(b"/a", b"2", 4, 2), (b"/b", b"2", 6, 1), (b"/c", b"1", 7, 1)],
            3,
        )
        (one,) = (await backend.range(b"/a", revision=3)).kvs
        assert one.value == b"1"
        (bare,) = (await backend.range(b"/a", revision=3, keys_only=True)).kvs
        assert (bare.value, bare.mod_revision) == (b"", 2)


async def test_a_future_revision_cannot_be_read(opening):
    async with opening() as backend:
        await backend.create(b"/a", b"1")
        with pytest.raises(FutureRevision):
            await backend.range(b"/a", revision=3)

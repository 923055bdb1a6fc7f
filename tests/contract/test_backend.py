"""What every `Backend` promises, whatever the driver. Numbers in brackets: spec/datastore.md."""

from __future__ import annotations

import asyncio
import math

import pytest

from k3py.datastore.errors import (
    Compacted,
    FutureRevision,
    KeyNotFound,
    LeaseExists,
    LeaseNotFound,
    Unavailable,
)
from k3py.datastore.factory import open_backend
from k3py.datastore.interface import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteOp,
    DeleteResult,
    EventType,
    PutOp,
    PutResult,
    RangeOp,
    RangeResult,
    TxnOp,
)
from tests.support.databases import fresh_endpoint
from tests.support.etcd import etcd_program, etcd_version, open_over_the_wire, open_real_etcd

DRIVERS = ("memory", "sqlite", "etcd-memory", "etcd-sqlite", "etcd", "postgres", "mysql")
"""etcd-…: the driver etcd at k3py's own etcd face over that store; etcd: at a real one, if it is installed; postgres, mysql: on servers that
the tests start."""
NOT_ON_OLD_ETCD = {
    "test_a_watch_ends_as_unavailable_when_the_store_closes": "progress overtakes events (etcd 15220)",
    "test_watches_of_many_shapes_get_what_lies_in_their_range": "progress overtakes events (etcd 15220)",
    "test_a_watch_may_start_at_the_compaction_line_but_not_below": "loses a deletion there (etcd 19179)",
}
ALL = (b"\0", b"\0")


@pytest.fixture(params=DRIVERS)
def opening(request, tmp_path):
    """Open a fresh store of each driver; a second opening of a durable one finds the first one's data."""

    name = request.param
    if name == "etcd" and etcd_program() is None:
        pytest.skip("etcd is not installed")

    if name == "etcd" and request.node.originalname in NOT_ON_OLD_ETCD and etcd_version() < (3, 5, 18):
        pytest.skip(NOT_ON_OLD_ETCD[request.node.originalname])

    database = fresh_endpoint(name) if name in ("postgres", "mysql") else ""

    def open_():
        if name == "etcd":
            return open_real_etcd(tmp_path)
        store = name.removeprefix("etcd-")
        if store in ("postgres", "mysql"):
            return open_backend(database)
        endpoint = {"memory": "memory://", "sqlite": f"sqlite://{tmp_path}/state.db"}[store]
        return open_over_the_wire(endpoint) if name.startswith("etcd-") else open_backend(endpoint)

    open_.durable = not name.endswith("memory")
    open_.is_etcd = name.startswith("etcd")
    open_.keeps_previous = name != "etcd"  # a real one forgets what the row at the compaction line replaced
    open_.shared = name in ("postgres", "mysql")
    return open_


def mod_is(key, revision):
    return Compare(key, CompareTarget.MOD, CompareResult.EQUAL, revision)


async def put(backend, key, value, lease=0):
    return (await backend.txn((), (PutOp(key, value, lease),))).revision


async def events_of(watch, count):
    found = []
    while len(found) < count:
        batch = await asyncio.wait_for(anext(watch), 5)
        found.extend(batch.events)
    return found


async def keys_of(backend, start, end=None, **options):
    return [kv.key for kv in (await backend.range(start, end, **options)).kvs]


# Reading and writing


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


# Transactions


async def test_a_transaction_does_one_branch_in_one_revision(opening):  # 108, 110
    async with opening() as backend:
        done = await backend.txn(
            (mod_is(b"/a", 0),),
            (PutOp(b"/a", b"1"), PutOp(b"/b", b"1"), RangeOp(b"/", b"0")),
            (RangeOp(b"/a"),),
        )
        assert (done.succeeded, done.revision) == (True, 2)
        assert done.results[:2] == (PutResult(None), PutResult(None))
        assert [(kv.key, kv.mod_revision) for kv in done.results[2].kvs] == [(b"/a", 2), (b"/b", 2)]
        lost = await backend.txn(
            (mod_is(b"/a", 0),), (PutOp(b"/a", b"2"),), (RangeOp(b"/a"), RangeOp(b"/none"))
        )
        assert (lost.succeeded, lost.revision) == (False, 2)
        assert lost.results[0].kvs[0].value == b"1"
        assert lost.results[1] == RangeResult((), 0, 2)
        without_else = await backend.txn((mod_is(b"/a", 0),), (PutOp(b"/a", b"2"),))
        assert (without_else.succeeded, without_else.results) == (False, ())
        assert backend.current_revision == 2


@pytest.mark.parametrize(
    ("compare", "expected"),
    [
        (Compare(b"/a", CompareTarget.VERSION, CompareResult.EQUAL, 2), True),
        (Compare(b"/a", CompareTarget.VERSION, CompareResult.GREATER, 2), False),
        (Compare(b"/a", CompareTarget.CREATE, CompareResult.EQUAL, 2), True),
        (Compare(b"/a", CompareTarget.MOD, CompareResult.LESS, 4), True),
        (Compare(b"/a", CompareTarget.MOD, CompareResult.NOT_EQUAL, 3), False),
        (Compare(b"/a", CompareTarget.VALUE, CompareResult.EQUAL, b"2"), True),
        (Compare(b"/a", CompareTarget.VALUE, CompareResult.GREATER, b"1"), True),
        (Compare(b"/a", CompareTarget.LEASE, CompareResult.EQUAL, 0), True),
        (Compare(b"/none", CompareTarget.VERSION, CompareResult.EQUAL, 0), True),
        (Compare(b"/none", CompareTarget.VALUE, CompareResult.NOT_EQUAL, b"x"), False),
        (Compare(b"/", CompareTarget.VERSION, CompareResult.GREATER, 0, b"0"), True),
        (Compare(b"/", CompareTarget.VERSION, CompareResult.EQUAL, 2, b"0"), False),
        (Compare(b"/x", CompareTarget.MOD, CompareResult.EQUAL, 0, b"/y"), True),
        (Compare(b"/x", CompareTarget.VALUE, CompareResult.NOT_EQUAL, b"1", b"/y"), False),
    ],
)
async def test_comparisons(opening, compare, expected):  # 109, 111
    async with opening() as backend:
        await backend.create(b"/a", b"1")
        await backend.update(b"/a", b"2", expected=2)
        await backend.create(b"/b", b"1")
        assert (await backend.txn((compare,), ())).succeeded is expected


async def test_a_range_delete_returns_what_it_removed_and_burns_nothing_if_that_is_nothing(opening):  # 95
    async with opening() as backend:
        for name in (b"/a", b"/b", b"/c"):
            await backend.create(name, name)
        nothing = await backend.txn((), (DeleteOp(b"/x", b"/y"),))
        assert (nothing.results, nothing.revision) == ((DeleteResult(()),), 4)
        done = await backend.txn((), (DeleteOp(b"/a", b"/c"), RangeOp(b"/", b"0", count_only=True)))
        assert done.revision == 5
        assert [kv.key for kv in done.results[0].previous] == [b"/a", b"/b"]
        assert done.results[1].count == 1
        assert await keys_of(backend, *ALL) == [b"/c"]


async def test_a_transaction_that_fails_changes_nothing(opening):  # 105
    async with opening() as backend:
        with pytest.raises(ValueError, match="duplicate key"):
            await backend.txn((), (PutOp(b"/a", b"1"), PutOp(b"/a", b"2")))
        with pytest.raises(ValueError, match="duplicate key"):
            await backend.txn((), (PutOp(b"/a", b"1"), DeleteOp(b"/", b"0")))
        with pytest.raises(LeaseNotFound):
            await backend.txn((), (PutOp(b"/a", b"1"), PutOp(b"/b", b"2", lease=77)))
        assert await keys_of(backend, *ALL) == []
        assert backend.current_revision == 1


async def test_a_transaction_reads_old_revisions(opening):  # 39
    async with opening() as backend:
        await backend.create(b"/a", b"1")
        await backend.update(b"/a", b"2", expected=2)
        done = await backend.txn((), (RangeOp(b"/a", revision=2), RangeOp(b"/a")))
        assert [result.kvs[0].value for result in done.results] == [b"1", b"2"]
        with pytest.raises(FutureRevision):
            await backend.txn((), (RangeOp(b"/a", revision=9), PutOp(b"/a", b"3")))
        await backend.compact(3)
        with pytest.raises(Compacted):
            await backend.txn((), (RangeOp(b"/a", revision=2), PutOp(b"/a", b"3")))
        assert backend.current_revision == 3


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


# Watching


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


async def test_a_transaction_may_hold_transactions(opening):  # 109
    async with opening() as backend:
        await put(backend, b"/a", b"1")
        inner = TxnOp((mod_is(b"/b", 0),), (PutOp(b"/c", b"3"), RangeOp(b"/b")), (PutOp(b"/d", b"4"),))
        done = await backend.txn((), (PutOp(b"/b", b"2"), inner))
        nested = done.results[1]
        # The inner comparison looks at the store as it was before the outer transaction, its operations see what was done.
        assert (done.succeeded, nested.succeeded, done.revision) == (True, True, 3)
        assert nested.results[1].kvs[0].value == b"2"
        assert [kv.mod_revision for kv in (await backend.range(b"/b", b"/d")).kvs] == [3, 3]
        other = await backend.txn((), (TxnOp((mod_is(b"/b", 0),), (), (RangeOp(b"/a"),)),))
        assert (other.results[0].succeeded, other.results[0].results[0].count) == (False, 1)
        assert other.revision == 3


async def test_a_put_can_keep_the_value_or_the_lease(opening):  # 81
    async with opening() as backend:
        lease, other = await backend.grant_lease(3600), await backend.grant_lease(3600)
        await put(backend, b"/a", b"1", lease)
        await backend.txn((), (PutOp(b"/a", b"2", ignore_lease=True),))
        (kv,) = (await backend.range(b"/a")).kvs
        assert (kv.value, kv.lease, kv.version) == (b"2", lease, 2)
        await backend.txn((), (PutOp(b"/a", b"", other, ignore_value=True),))
        (kv,) = (await backend.range(b"/a")).kvs
        assert (kv.value, kv.lease, kv.version) == (b"2", other, 3)
        for keeping in ({"ignore_value": True}, {"ignore_lease": True}):
            with pytest.raises(KeyNotFound):
                await backend.txn((), (PutOp(b"/none", b"", **keeping),))
        assert backend.current_revision == kv.mod_revision


# Compaction


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


async def purged(backend):
    """Wait until the space of compacted revisions is free: the compactor has nothing left to do."""
    if hasattr(backend, "_purge"):
        while await backend._purge(0.01):
            pass


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


# Leases


async def test_revoking_a_lease_deletes_its_keys_in_one_revision(opening):  # 43, 267
    async with opening() as backend:
        lease = await backend.grant_lease(3600)
        other = await backend.grant_lease(3600)
        assert lease != other
        assert lease > 0
        for name in (b"/c", b"/a", b"/b", b"/moved", b"/kept"):
            await backend.create(name, b"1", lease=lease)
        await put(backend, b"/kept", b"2")
        await put(backend, b"/moved", b"2", other)
        assert (await backend.range(b"/a")).kvs[0].lease == lease
        before = backend.current_revision
        async with backend.watch(*ALL, after=before) as watch:
            await backend.revoke_lease(lease)
            events = await events_of(watch, 3)
        assert [(e.kv.key, e.type, e.kv.mod_revision) for e in events] == [
            (name, EventType.DELETE, before + 1) for name in (b"/a", b"/b", b"/c")
        ]
        assert events[0].previous.lease == lease
        assert await keys_of(backend, *ALL) == [b"/kept", b"/moved"]
        with pytest.raises(LeaseNotFound):
            await backend.revoke_lease(lease)
        with pytest.raises(LeaseNotFound):
            await backend.create(b"/d", b"", lease=lease)


async def test_a_lease_ends_by_itself_and_not_early(opening):
    async with opening() as backend:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        lease = await backend.grant_lease(1)
        revision = await backend.create(b"/a", b"1", lease=lease)
        async with backend.watch(b"/a", after=revision) as watch:
            (event,) = await events_of(watch, 1)
        assert event.type is EventType.DELETE
        assert 1.0 <= loop.time() - begin < (3.0 if opening.is_etcd else 2.0)
        with pytest.raises(LeaseNotFound):
            await backend.revoke_lease(lease)


async def test_a_lease_can_have_a_chosen_number_once(opening):  # 103
    async with opening() as backend:
        assert await backend.grant_lease(3600, lease=77) == 77
        with pytest.raises(LeaseExists):
            await backend.grant_lease(3600, lease=77)
        other = await backend.grant_lease(3600)
        assert await backend.leases() == tuple(sorted((77, other)))
        await backend.revoke_lease(77)
        assert await backend.leases() == (other,)
        assert await backend.grant_lease(3600, lease=77) == 77


async def test_a_lease_tells_its_time_and_keys(opening):
    async with opening() as backend:
        lease = await backend.grant_lease(3600)
        await backend.create(b"/b", b"", lease=lease)
        await backend.create(b"/a", b"", lease=lease)
        status = await backend.lease_status(lease)
        assert (status.id, status.granted_ttl_s, status.keys) == (lease, 3600, (b"/a", b"/b"))
        assert 3590 < status.remaining_s <= 3600
        assert await backend.lease_status(lease + 1) is None


async def test_a_lease_lives_as_long_as_it_is_kept_alive(opening):
    async with opening() as backend:
        loop = asyncio.get_running_loop()
        lease = await backend.grant_lease(1)
        revision = await backend.create(b"/a", b"", lease=lease)
        await asyncio.sleep(0.6)
        begin = loop.time()
        ttl_s = await backend.keep_alive(lease)
        async with backend.watch(b"/a", after=revision) as watch:
            (event,) = await events_of(watch, 1)
        assert event.type is EventType.DELETE
        assert ttl_s <= loop.time() - begin < ttl_s + 1
        with pytest.raises(LeaseNotFound):
            await backend.keep_alive(lease)


async def test_a_lease_that_was_kept_alive_has_its_whole_time_after_reopening(opening):
    if not opening.durable:
        pytest.skip("this driver keeps nothing")
    async with opening() as backend:
        lease = await backend.grant_lease(2)
        await backend.keep_alive(lease)
    await asyncio.sleep(1.1)
    async with opening() as backend:
        # Where other servers must know how long it lives, its last renewal is stored.
        left_s = (await backend.lease_status(lease)).remaining_s
        assert math.ceil(left_s) == (1 if opening.shared else 2)


@pytest.mark.parametrize("ttl_s", [0, -1, 9_000_000_001])
async def test_a_lease_needs_a_possible_time(opening, ttl_s):  # 44
    async with opening() as backend:
        with pytest.raises(ValueError, match="lease TTL"):
            await backend.grant_lease(ttl_s)


# Life


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

"""Several servers on one database: no revision twice or missing, no event lost, no compare that lies. Numbers: spec/datastore.md."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import struct
import time

import pytest

from k3py.datastore.errors import Compacted, FutureRevision
from k3py.datastore.factory import open_backend
from k3py.datastore.interface import EventType, PutOp, RangeOp
from k3py.datastore.sql.server_statements import Statement
from tests.support.databases import fresh_endpoint
from tests.support.history.watches import check_log

ALL = (b"\0", b"\0")
SERVERS = ("postgres", "mysql")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(params=SERVERS)
def endpoint(request):
    return fresh_endpoint(request.param)


def opening(endpoint):
    return open_backend(endpoint, history_s=None)


async def collect(backend, until, seen):
    """Take all events from the beginning until `until` is set and everything that was committed by then came."""
    async with backend.watch(*ALL, after=1) as watch:

        async def nudge():
            await until.wait()
            watch.request_progress()

        nudging = asyncio.create_task(nudge())
        last = None
        while last is None or seen_revision(seen) < last:
            batch = await asyncio.wait_for(anext(watch), 30)
            seen.extend(batch.events)
            if until.is_set():
                last = await backend.latest_revision()
                if batch.revision < last:
                    watch.request_progress()
                elif batch.revision >= last:
                    break
        await nudging


def seen_revision(events):
    return events[-1].kv.mod_revision if events else 1


def check_history(events, rows, current):
    """The events are dense and in order, follow from each other, and lead to the rows."""
    state = check_log(events)
    assert seen_revision(events) == current
    assert {row.key: row for row in rows} == state


@pytest.mark.parametrize("writers", [1, 8])
async def test_two_servers_with_concurrent_writers_have_one_history(endpoint, writers):  # 215, 216, 219
    counts = {}
    reads = []

    async def increment(backend, name, number):
        """Count up shared keys by compare-and-swap: each success must count exactly once."""
        chance = random.Random(name * 1000 + number)
        for _ in range(40 // writers + 10):
            key = b"/count/%d" % chance.randrange(3)
            while True:
                found = (await backend.range(key)).kvs
                if not found:
                    value, revision = 0, await backend.create(key, b"1")
                else:
                    value = int(found[0].value)
                    revision, now = await backend.update(
                        key, b"%d" % (value + 1), expected=found[0].mod_revision
                    )
                    if revision is None:
                        assert now is None or now.mod_revision > found[0].mod_revision, "the compare lied"
                if revision is not None:
                    counts[key] = counts.get(key, 0) + 1
                    latest = await other[id(backend)].latest_revision()
                    assert latest >= revision, "another server reads the past"
                    break
            own = b"/own/%d/%d" % (name, number)
            done = await backend.txn((), (PutOp(own, b"x"), RangeOp(own)))
            assert done.results[1].kvs[0].mod_revision == done.revision
            if chance.random() < 0.3:
                gone, _ = await backend.delete(own, expected=done.revision)
                assert gone is not None
            result = await backend.range(*ALL, limit=2)
            reads.append((result.revision, result.count))

    async with opening(endpoint) as first, opening(endpoint) as second:
        other = {id(first): second, id(second): first}
        until = asyncio.Event()
        seen = [[], []]
        async with asyncio.TaskGroup() as watching:
            watching.create_task(collect(first, until, seen[0]))
            watching.create_task(collect(second, until, seen[1]))
            async with asyncio.TaskGroup() as tasks:
                for name, backend in enumerate((first, second)):
                    for number in range(writers):
                        tasks.create_task(increment(backend, name, number))
            until.set()
        rows = (await first.range(*ALL)).kvs
        current = await second.latest_revision()
    check_history(seen[0], rows, current)
    assert seen[0] == seen[1]
    for row in rows:
        if row.key.startswith(b"/count/"):
            assert int(row.value) == counts[row.key], "an update was lost or counted twice"
    sizes = {1: 0}
    keys = set()
    for event in seen[0]:
        (keys.add if event.type is EventType.PUT else keys.remove)(event.kv.key)
        sizes[event.kv.mod_revision] = len(keys)
    for revision, count in reads:
        assert sizes[revision] == count, "revision and rows are of different snapshots"


async def test_a_change_is_seen_by_the_other_server_at_once_and_by_reads_always(endpoint):  # 218, 295
    lags = []
    async with opening(endpoint) as first, opening(endpoint) as second:
        async with second.watch(b"/", b"0", after=1) as watch:
            for number in range(60):
                begin = time.perf_counter()
                revision = await first.create(b"/%d" % number, b"x")
                assert await second.latest_revision() >= revision
                assert (await second.range(b"/%d" % number)).revision >= revision
                seen = []
                while not seen:
                    seen = (await asyncio.wait_for(anext(watch), 5)).events
                lags.append(time.perf_counter() - begin)
                assert seen[0].kv.mod_revision == revision
                assert await second.create(b"/%d" % number, b"y") is None
    lags.sort()
    print(f"lag p50 {lags[30] * 1e3:.1f} ms, max {lags[-1] * 1e3:.1f} ms")


async def test_compaction_by_one_server_binds_the_other(endpoint):  # 257
    async with opening(endpoint) as first, opening(endpoint) as second:
        revision = await first.create(b"/a", b"0")
        for number in range(20):
            revision, _ = await first.update(b"/a", b"%d" % number, expected=revision)
        assert (await second.range(b"/a", revision=5)).kvs[0].mod_revision == 5
        await first.compact(15)
        await first.compactor.finished()
        with pytest.raises(Compacted):
            await second.range(b"/a", revision=5)
        with pytest.raises(Compacted):
            async with second.watch(b"/a", after=3) as watch:
                await asyncio.wait_for(anext(watch), 5)
        with pytest.raises(FutureRevision):
            await second.compact(revision + 5)
        assert (await second.range(b"/a", revision=15)).kvs[0].mod_revision == 15
        await second.compact(18)


async def test_leases_bind_all_servers_and_end_once(endpoint):  # 226, 267
    async with opening(endpoint) as first, opening(endpoint) as second:
        lease = await first.grant_lease(2)
        async with second.watch(b"/", b"0", after=1) as watch:
            # The other server knows of it with its next write at the latest.
            assert await second.create(b"/x", b"") is not None
            assert await second.create(b"/leased", b"", lease=lease) is not None
            begin = time.monotonic()
            assert await first.keep_alive(lease) == 2
            events = []
            while len(events) < 3:
                events.extend((await asyncio.wait_for(anext(watch), 10)).events)
            assert time.monotonic() - begin >= 2
            assert (events[2].type, events[2].kv.key) == (EventType.DELETE, b"/leased")
        await asyncio.sleep(4)  # the other server's turn would have come
        assert await second.latest_revision() == events[2].kv.mod_revision
        assert await second.leases() == ()


async def set_back(backend):
    """Bring the database to where it was at revision 7, as a copy of its disk would."""
    async with backend._log.reading() as connection:
        await connection.fetch(Statement("DELETE FROM k3py_log WHERE id >= ?", (8 << 20,)))
        await connection.fetch(Statement("DELETE FROM k3py_cur WHERE id >= ?", (8 << 20,)))
        await connection.fetch(Statement("UPDATE k3py_meta SET revision = 7, serial = serial - 4"))


async def test_a_database_that_was_set_back_gets_no_revision_twice(endpoint):  # 253
    async with opening(endpoint) as backend:
        for number in range(10):
            await backend.create(b"/%d" % number, b"")
        async with backend.watch(*ALL, after=11) as watch:
            await set_back(backend)
            revision = await backend.create(b"/new", b"")
            assert revision > 1_000_000
            with pytest.raises(Compacted):
                await asyncio.wait_for(anext(watch), 5)
        assert [kv.key for kv in (await backend.range(*ALL)).kvs] == [b"/%d" % n for n in range(6)] + [b"/new"]


async def test_a_copy_of_the_disk_that_was_put_back_while_nobody_ran_is_noticed(endpoint, tmp_path):  # 253
    def opening():
        return open_backend(endpoint, witness=tmp_path / "server" / "known-revision")

    async with opening() as backend:
        for number in range(10):
            await backend.create(b"/%d" % number, b"")
    async with open_backend(endpoint) as backend:
        await set_back(backend)
    async with opening() as backend:
        assert await backend.create(b"/new", b"") == 1_000_000_000 + 12
        with pytest.raises(Compacted):
            await backend.range(*ALL, revision=8)
        assert [kv.key for kv in (await backend.range(*ALL)).kvs] == [b"/%d" % n for n in range(6)] + [b"/new"]
    async with opening() as backend:  # once is enough
        assert await backend.create(b"/newer", b"") == 1_000_000_000 + 13


async def test_what_the_database_cannot_take_fails_nobody_else(endpoint):  # 230, 231
    async with opening(endpoint) as backend:
        for key, value in ((b"k" * 2049, b""), (b"/v", b"v" * (4 << 20))):
            async with asyncio.TaskGroup() as tasks:
                with pytest.raises(ValueError, match=r"longer|larger"):
                    await backend.create(key, value)
                assert await tasks.create_task(backend.create(b"/ok" + key[:2], b"x")) is not None
        async with asyncio.TaskGroup() as tasks:
            for number in range(6):
                tasks.create_task(backend.create(b"k" * 2047 + b"%d" % number, os.urandom(3 << 20)))
        assert (await backend.range(b"k", b"l", count_only=True)).count == 6
        assert len((await backend.range(b"k" * 2047 + b"3")).kvs[0].value) == 3 << 20


ACK = struct.Struct("<QI")


async def _write_until_killed(endpoint, acks, round_):
    async def writer(name):
        number = 0
        while True:
            revision = await backend.create(b"/%d/%d/%d" % (round_, name, number), os.urandom(200))
            os.write(acks, ACK.pack(revision, name))
            number += 1

    async with opening(endpoint) as backend, asyncio.TaskGroup() as tasks:
        for name in range(4):
            tasks.create_task(writer(name))


def _run_and_kill(endpoint, round_, delay_s):
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(ours)
            asyncio.run(_write_until_killed(endpoint, theirs, round_))
        finally:
            os._exit(3)
    os.close(theirs)
    data, deadline = b"", None
    while chunk := os.read(ours, 1 << 16):
        data += chunk
        deadline = deadline or time.monotonic() + delay_s
        if time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
    os.close(ours)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the writer ended by itself"
    return [ACK.unpack_from(data, at) for at in range(0, len(data) - len(data) % ACK.size, ACK.size)]


def test_a_killed_server_loses_nothing_and_does_not_hold_up_the_others(endpoint):  # 223
    seed = int(os.environ.get("K3PY_SEED", "0")) or random.randrange(1, 1 << 32)
    print(f"K3PY_SEED={seed}")
    chance = random.Random(seed)
    acked = {}
    for round_ in range(int(os.environ.get("K3PY_KILLS", "20"))):
        for revision, name in _run_and_kill(endpoint, round_, chance.uniform(0.0, 0.1)):
            assert revision not in acked, "a revision was given out twice"
            acked[revision] = b"/%d/%d/" % (round_, name)

    async def check():
        async with opening(endpoint) as backend:
            begin = time.monotonic()
            await backend.create(b"/after", b"")
            assert time.monotonic() - begin < 8
            events = []
            async with backend.watch(*ALL, after=1) as watch:
                while seen_revision(events) < backend.current_revision:
                    events.extend((await asyncio.wait_for(anext(watch), 10)).events)
            check_history(events, (await backend.range(*ALL)).kvs, backend.current_revision)
            keys = {event.kv.mod_revision: event.kv.key for event in events}
            for revision, prefix in acked.items():
                assert keys[revision].startswith(prefix), f"acknowledged revision {revision} is lost"

    asyncio.run(check())
    print(f"{len(acked)} acknowledged writes")

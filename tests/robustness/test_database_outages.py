"""What the network and the database server do to a store: cut, delay, half-open connections, lost answers, restarts.

A write that was acknowledged is there; a refused one with a definite answer is not; watches lose nothing. Numbers: spec/datastore.md.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager, suppress

import pytest

from k3py.datastore.errors import Compacted, Unavailable
from k3py.datastore.factory import open_backend
from tests.robustness.test_shared_database import ALL, check_history, seen_revision
from tests.support.databases import fresh_database, keep_running, running
from tests.support.tcp_proxy import proxy_to

SERVERS = ("postgres", "mysql")
COMMIT_MARK = {"postgres": b"mark-of-the-write", "mysql": b"mark-of-the-write".hex().encode()}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(params=SERVERS)
def scheme(request):
    return request.param


@asynccontextmanager
async def behind_proxy(scheme):
    """Open a store through a proxy; yield (backend, proxy, direct endpoint)."""
    server, database = keep_running(scheme), fresh_database()
    direct = server.endpoint(database)
    async with open_backend(direct):
        pass
    async with (
        proxy_to(server.port) as proxy,
        open_backend(server.endpoint(database, port=proxy.port), history_s=None) as backend,
    ):
        yield backend, proxy, direct


async def eventually(make, seconds=15):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await make()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


async def test_a_commit_whose_answer_was_lost_is_found_out_before_the_caller_is_told(scheme):  # 252
    async with behind_proxy(scheme) as (backend, proxy, direct):
        async with backend.watch(*ALL, after=1) as watch:
            proxy.cut_after = COMMIT_MARK[scheme]
            revision = await backend.create(b"/a", b"mark-of-the-write")
            assert proxy.cuts == 1
            assert revision == 2
            assert (await asyncio.wait_for(anext(watch), 5)).events[0].kv.mod_revision == 2
            assert await backend.create(b"/a", b"") is None
            assert await backend.create(b"/b", b"") == 3
        async with open_backend(direct) as other:
            assert [kv.mod_revision for kv in (await other.range(*ALL)).kvs] == [2, 3]


async def test_a_connection_that_breaks_before_the_commit_is_sent_acknowledges_nothing(scheme):
    async with behind_proxy(scheme) as (backend, proxy, _):
        assert await backend.create(b"/a", b"") == 2
        async with backend._log._writers.take() as session:
            session.abort()
        proxy.cut_after = {"postgres": b"set_config", "mysql": b"sql_mode"}[scheme]
        outcome = await try_create(backend, b"/b")
        assert proxy.cuts == 1
        found = (await eventually(lambda: backend.range(b"/b"))).kvs
        assert [kv.mod_revision for kv in found] == ([outcome] if isinstance(outcome, int) else [])


async def test_a_commit_that_did_not_get_through_is_not_done(scheme):
    async with behind_proxy(scheme) as (backend, proxy, _):
        assert await backend.create(b"/a", b"") == 2
        proxy.cut()
        outcome = await asyncio.wait_for(try_create(backend, b"/b"), 20)
        found = (await eventually(lambda: backend.range(b"/b"))).kvs
        assert bool(found) is isinstance(outcome, int), (outcome, found)
        assert await eventually(lambda: backend.create(b"/c", b"")) is not None


@pytest.mark.parametrize("at", [1, 3, 5, 8, 12, 30])
async def test_an_answer_that_is_cut_off_in_the_middle_is_no_answer(scheme, at):
    async with behind_proxy(scheme) as (backend, proxy, direct):
        assert await backend.create(b"/a", b"x" * 100) == 2
        proxy.truncate_at = at
        outcome = await asyncio.wait_for(try_create(backend, b"/b"), 30)
        assert proxy.cuts == 1
        async with open_backend(direct, history_s=None) as other:
            found = (await other.range(b"/b")).kvs
        assert [kv.mod_revision for kv in found] == ([outcome] if isinstance(outcome, int) else [])
        proxy.truncate_at = at
        with suppress(Unavailable):
            assert (await backend.range(b"/a")).kvs[0].value == b"x" * 100
        assert (await eventually(lambda: backend.range(b"/a"))).kvs[0].value == b"x" * 100


async def try_create(backend, key, value=b""):
    try:
        return await backend.create(key, value)
    except Unavailable as error:
        return error


async def test_while_the_database_is_away_callers_hear_it_soon_and_everything_goes_on_afterwards(scheme):  # 225
    async with behind_proxy(scheme) as (backend, proxy, _):
        async with backend.watch(*ALL, after=1) as watch:
            assert await backend.create(b"/a", b"") == 2
            proxy.refuses = True
            proxy.cut()
            await asyncio.sleep(0.1)
            begin = time.monotonic()
            with pytest.raises(Unavailable) as caught:
                await backend.range(b"/a")
            assert "p@ss" not in str(caught.value)
            assert time.monotonic() - begin < 2
            assert isinstance(await asyncio.wait_for(try_create(backend, b"/b"), 30), Unavailable)
            with pytest.raises(Unavailable):
                await backend.latest_revision()
            proxy.refuses = False
            revision = await eventually(lambda: backend.create(b"/c", b""))
            events = []
            while seen_revision(events) < revision:
                events.extend((await asyncio.wait_for(anext(watch), 10)).events)
            assert [event.kv.key for event in events] == [b"/a", b"/c"]


async def test_a_server_that_was_away_for_too_long_forgets_what_it_remembered(scheme):
    async with behind_proxy(scheme) as (backend, proxy, direct):
        assert await backend.create(b"/a", b"") == 2
        assert await backend.create(b"/gone", b"") == 3
        async with backend.watch(*ALL, after=3) as watch:
            proxy.refuses = True
            proxy.cut()
            async with open_backend(direct, history_s=None) as other:
                assert (await other.update(b"/a", b"new", expected=2))[0] == 4
                assert (await other.delete(b"/gone", expected=3))[0] == 5
                assert await other.create(b"/b", b"") == 6
                await other.compact(6, physical=True)
            proxy.refuses = False
            revision, now = await eventually(lambda: backend.update(b"/a", b"lie", expected=2))
            assert (revision, now.value) == (None, b"new")
            assert await eventually(lambda: backend.create(b"/gone", b"")) == 7
            with pytest.raises(Compacted):
                await asyncio.wait_for(anext(watch), 30)


async def test_half_open_connections_are_given_up(scheme):
    async with behind_proxy(scheme) as (backend, proxy, direct):
        assert await backend.create(b"/a", b"") == 2
        async with backend.watch(*ALL, after=2) as watch, open_backend(direct) as other:
            proxy.deaf = True
            begin = time.monotonic()
            with pytest.raises(Unavailable):
                await backend.range(b"/a")
            assert time.monotonic() - begin < 15
            assert await other.create(b"/b", b"") == 3, "a server that lost its connection holds up the others"
            proxy.deaf = False
            proxy.cut()
            assert (await asyncio.wait_for(anext(watch), 30)).events[0].kv.key == b"/b"


async def test_a_server_that_stops_while_it_holds_the_lock_does_not_stop_the_others(scheme):
    async with behind_proxy(scheme) as (backend, proxy, direct):
        async with open_backend(direct, history_s=None) as other:
            async with backend._shared.locked():
                proxy.stall()
                begin = time.monotonic()
                assert await eventually(lambda: other.create(b"/b", b""), 30) is not None
                assert time.monotonic() - begin < 25
                proxy.resume()
            assert await eventually(lambda: backend.create(b"/c", b"")) is not None


async def test_a_slow_network_changes_nothing(scheme):
    async with behind_proxy(scheme) as (backend, proxy, _):
        proxy.delay_s = 0.02
        async with asyncio.TaskGroup() as tasks:
            jobs = [tasks.create_task(backend.create(b"/%d" % (n % 10), b"%d" % n)) for n in range(40)]
        assert sorted(job.result() or 0 for job in jobs)[-10:] == list(range(2, 12))


async def fuzz(backends, proxy, seconds, chance):
    """Write through all backends while the proxy misbehaves; return acknowledged {revision: key} and keys surely not written."""
    acked, refused = {}, set()
    end = time.monotonic() + seconds

    async def write(which, backend, number):
        at = 0
        while time.monotonic() < end:
            key = b"/%d/%d/%d" % (which, number, at)
            at += 1
            try:
                revision = await backend.create(key, b"x" * chance.randrange(2000))
            except Unavailable as error:
                if str(error).startswith("not written"):
                    refused.add(key)
                await asyncio.sleep(0.02)
            else:
                assert revision is not None, "a key that nobody else writes exists"
                assert revision not in acked
                acked[revision] = key

    async def disturb():
        while time.monotonic() < end:
            await asyncio.sleep(chance.uniform(0.05, 0.3))
            what = chance.randrange(5)
            if what == 0:
                proxy.cut()
            elif what == 1:
                proxy.cut_after = b"k3py_log"
            elif what == 2:
                proxy.truncate_at = chance.randrange(1, 200)
            elif what == 3:
                proxy.refuses = True
                proxy.cut()
                await asyncio.sleep(chance.uniform(0.05, 0.4))
                proxy.refuses = False
            else:
                proxy.delay_s = chance.choice([0, 0, 0.01])

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(disturb())
        for which, backend in enumerate(backends):
            for number in range(3):
                tasks.create_task(write(which, backend, number))
    proxy.delay_s, proxy.refuses, proxy.cut_after, proxy.truncate_at = 0, False, None, None
    return acked, refused


async def test_nothing_is_lost_or_invented_while_the_network_misbehaves(scheme):
    seed = random.randrange(1, 1 << 32)
    print(f"seed {seed}")
    async with behind_proxy(scheme) as (backend, proxy, direct):
        async with open_backend(direct, history_s=None) as other, backend.watch(*ALL, after=1) as watch:
            acked, refused = await fuzz((backend, other), proxy, 6, random.Random(seed))
            await eventually(lambda: backend.create(b"/end", b""))
            current = await other.latest_revision()
            events = []
            while seen_revision(events) < current:
                events.extend((await asyncio.wait_for(anext(watch), 20)).events)
            check_history(events, (await other.range(*ALL)).kvs, current)
            keys = {event.kv.mod_revision: event.kv.key for event in events}
            for revision, key in acked.items():
                assert keys[revision] == key, f"acknowledged revision {revision} is lost"
            assert not refused & set(keys.values()), "a write that was refused for sure happened"
    print(f"{len(acked)} acknowledged, {len(refused)} surely refused, {proxy.cuts} lost answers")


@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_a_database_that_is_restarted_under_load_keeps_everything(scheme, how):  # 225
    with running(scheme) as server:
        acked = {}
        async with open_backend(server.endpoint("kubernetes"), history_s=None) as backend:
            async with backend.watch(*ALL, after=1) as watch:
                stop = asyncio.Event()

                async def write(number):
                    at = 0
                    while not stop.is_set():
                        key = b"/%d/%d" % (number, at)
                        at += 1
                        revision = await try_create(backend, key)
                        if isinstance(revision, int):
                            acked[revision] = key
                        else:
                            await asyncio.sleep(0.05)

                async with asyncio.TaskGroup() as tasks:
                    for number in range(4):
                        tasks.create_task(write(number))
                    for _ in range(2):
                        await asyncio.sleep(0.4)
                        await asyncio.to_thread(server.kill if how == "kill" else server.stop)
                        await asyncio.sleep(0.2)
                        await asyncio.to_thread(server.start)
                    before = len(acked)
                    deadline = time.monotonic() + 20
                    while len(acked) < before + 10 and time.monotonic() < deadline:
                        await asyncio.sleep(0.1)
                    stop.set()
                assert len(acked) > before, "writes do not go on after the restart"
                events = []
                current = await backend.latest_revision()
                while seen_revision(events) < current:
                    events.extend((await asyncio.wait_for(anext(watch), 20)).events)
            check_history(events, (await backend.range(*ALL)).kvs, current)
            keys = {event.kv.mod_revision: event.kv.key for event in events}
            for revision, key in acked.items():
                assert keys[revision] == key
    print(f"{len(acked)} acknowledged")

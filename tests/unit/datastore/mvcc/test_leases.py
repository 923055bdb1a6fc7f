"""Leases end late rather than early, whatever the clocks do."""

import asyncio

import pytest

from k3py.datastore.drivers.memory import open_memory
from k3py.datastore.errors import NoSpace
from k3py.datastore.mvcc.leases import RETRY_S, LeaseReaper, remaining_s
from k3py.datastore.mvcc.log import Lease

pytestmark = pytest.mark.looptime

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("granted_at_s", "wall_s", "expected"),
    [
        (NOW, NOW, 3600),
        (NOW, NOW + 600, 3000),
        (NOW, NOW + 9000, 0),
        (NOW, NOW - 5, 3600),
        (86_400.0, NOW, 3600),
    ],
    ids=["just granted", "later", "over", "clock went back", "granted before the clock was set"],
)
def test_what_a_stored_lease_has_left(granted_at_s, wall_s, expected):
    assert remaining_s(Lease(1, 3600, granted_at_s), wall_s) == expected


async def run_for(reaper, seconds):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await reaper.run()


async def test_leases_end_in_time_and_neighbours_together():
    loop = asyncio.get_running_loop()
    begin = loop.time()
    ended = []

    async def expire(leases):
        ended.append((loop.time() - begin, sorted(leases)))

    reaper = LeaseReaper(expire)
    reaper.add(1, ttl_s=3600, remaining_s=3601)
    reaper.add(2, ttl_s=15, remaining_s=15)
    loop.call_later(1, lambda: reaper.add(3, ttl_s=3600, remaining_s=3602))
    loop.call_later(2, lambda: reaper.add(4, ttl_s=5, remaining_s=5))
    loop.call_later(3, lambda: reaper.discard(4))
    await run_for(reaper, 4000)
    assert [leases for _, leases in ended] == [[2], [1, 3]]
    assert 15 <= ended[0][0] <= 15.8
    assert 3603 <= ended[1][0] <= 3611


async def test_a_failing_end_is_tried_again():
    loop = asyncio.get_running_loop()
    begin = loop.time()
    calls = []

    async def expire(leases):
        calls.append(loop.time() - begin)
        if len(calls) == 1:
            raise NoSpace("full")
        reaper.discard(leases[0])

    reaper = LeaseReaper(expire)
    reaper.add(1, ttl_s=10, remaining_s=10)
    await run_for(reaper, 100)
    assert len(calls) == 2
    assert calls[1] - calls[0] == pytest.approx(RETRY_S, abs=0.1)


async def test_a_thousand_leases_end_without_a_wakeup_each():
    async with open_memory(history_s=None) as backend:
        for number in range(1000):
            lease = await backend.grant_lease(60)
            await backend.create(b"/%d" % number, b"", lease=lease)
        async with backend.watch(b"\0", b"\0", after=backend.current_revision) as watch:
            count = 0
            while count < 1000:
                count += len((await anext(watch)).events)
        assert (await backend.range(b"\0", b"\0")).count == 0

"""The wall clock of a server jumps, by years in both directions: leases end neither early nor never, revisions and watches do not notice."""

from __future__ import annotations

import asyncio

import pytest

from k3py.datastore.factory import open_backend
from k3py.datastore.interface import EventType
from k3py.util import clock
from tests.support.databases import fresh_endpoint

YEAR_S = 365 * 86_400.0
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(params=["sqlite", "postgres", "mysql"])
def endpoint(request, tmp_path):
    return f"sqlite://{tmp_path}/state.db" if request.param == "sqlite" else fresh_endpoint(request.param)


@pytest.fixture
def jump(monkeypatch):
    real = clock.wall_s

    def jump(seconds):
        monkeypatch.setattr(clock, "wall_s", lambda: real() + seconds)

    return jump


@pytest.mark.parametrize("by_s", [YEAR_S, -YEAR_S, -60 * YEAR_S])
async def test_a_jump_while_running_ends_no_lease_early_and_none_never(endpoint, jump, by_s):
    async with open_backend(endpoint, history_s=None) as backend:
        async with backend.watch(b"/", b"0", after=1) as watch:
            begin = asyncio.get_running_loop().time()
            short, long = await backend.grant_lease(1), await backend.grant_lease(3600)
            await backend.create(b"/short", b"", lease=short)
            jump(by_s)
            await backend.create(b"/long", b"", lease=long)
            events = []
            while len(events) < 3:
                events.extend((await asyncio.wait_for(anext(watch), 60)).events)
            assert asyncio.get_running_loop().time() - begin >= 1
            assert [(event.type, event.kv.key) for event in events] == [
                (EventType.PUT, b"/short"),
                (EventType.PUT, b"/long"),
                (EventType.DELETE, b"/short"),
            ]
            assert [event.kv.mod_revision for event in events] == [2, 3, 4]
            assert await backend.leases() == (long,)


@pytest.mark.parametrize("by_s", [-YEAR_S, -60 * YEAR_S])
async def test_after_a_restart_with_a_clock_that_went_back_a_lease_has_its_whole_time(endpoint, jump, by_s):
    async with open_backend(endpoint, history_s=None) as backend:
        lease = await backend.grant_lease(3600)
        await backend.create(b"/leased", b"", lease=lease)
    jump(by_s)
    async with open_backend(endpoint, history_s=None) as backend:
        status = await backend.lease_status(lease)
        assert 3590 <= status.remaining_s <= 3604
        assert (await backend.range(b"/leased")).count == 1
        assert await backend.create(b"/next", b"") == 3


async def test_a_clock_that_is_set_at_last_lets_no_lease_of_before_live_for_years(endpoint, jump):
    """A machine without a clock begins in 1970; what was granted then has its whole time once, from the restart on."""
    jump(-clock.wall_s() + 100)
    async with open_backend(endpoint, history_s=None) as backend:
        lease = await backend.grant_lease(3600)
    jump(0)
    async with open_backend(endpoint, history_s=None) as backend:
        assert (await backend.lease_status(lease)).remaining_s <= 3604

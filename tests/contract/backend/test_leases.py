"""Leases: granted, kept alive, ended with their keys, across restarts too. What every `Backend` promises; numbers in brackets: spec/datastore.md."""

from __future__ import annotations

import asyncio
import math

import pytest

from k3py.datastore.errors import (
    LeaseExists,
    LeaseNotFound,
)
from k3py.datastore.interface import (
    EventType,
)
from tests.support.backends import ALL, events_of, keys_of, put


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

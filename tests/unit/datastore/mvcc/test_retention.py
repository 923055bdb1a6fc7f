"""History is bounded without polling."""

import asyncio

import pytest

from k3py.datastore.drivers.memory import open_memory
from k3py.datastore.errors import Compacted
from k3py.datastore.mvcc.retention import TRICKLE_BYTES, Retention

LARGE = b"x" * TRICKLE_BYTES

pytestmark = pytest.mark.looptime


async def test_what_is_older_than_the_promise_is_compacted_and_younger_is_kept():
    async with open_memory(history_s=300) as backend:
        await asyncio.sleep(1000)
        await backend.create(b"/a", LARGE)  # 2, at 1000 s
        await asyncio.sleep(200)
        await backend.update(b"/a", LARGE + b"2", expected=2)  # 3, at 1200 s
        await asyncio.sleep(50)
        assert (await backend.range(b"/a", revision=2)).kvs[0].value == LARGE
        await asyncio.sleep(1000)
        assert (await backend.status()).compact_revision == 3
        with pytest.raises(Compacted):
            await backend.range(b"/a", revision=2)
        assert (await backend.range(b"/a", revision=3)).kvs[0].value == LARGE + b"2"
        assert len(backend._log._events) == 1


async def test_a_trickle_is_compacted_once_an_hour():
    async with open_memory(history_s=300) as backend:
        revision = await backend.create(b"/a", b"0")
        await asyncio.sleep(400)
        compactions = set()
        for _ in range(36):  # three hours of a node's status
            revision, _ = await backend.update(b"/a", b"x" * 2_000, expected=revision)
            await asyncio.sleep(300)
            compactions.add((await backend.status()).compact_revision)
        assert len(compactions) == 4
        assert len(backend._log._events) < 30


async def test_a_burst_after_a_trickle_is_compacted_within_twice_the_promise():
    async with open_memory(history_s=300) as backend:
        revision = await backend.create(b"/a", b"0")
        await asyncio.sleep(400)
        revision, _ = await backend.update(b"/a", b"1", expected=revision)
        await asyncio.sleep(1000)
        for number in range(400):
            revision = await backend.create(b"/templates/%d" % number, b"x" * 500)
        await asyncio.sleep(0.1)
        assert (await backend.status()).compact_revision < revision
        await asyncio.sleep(600)
        assert (await backend.status()).compact_revision == revision


async def test_large_writes_shorten_the_history_to_its_bound_in_bytes(monkeypatch):
    bound = 1 << 20
    monkeypatch.setattr(Retention.__init__, "__defaults__", (bound,))
    async with open_memory(history_s=300) as backend:
        revision = await backend.create(b"/a", b"")
        kept = []
        for _ in range(200):
            revision, _ = await backend.update(b"/a", b"x" * 20_000, expected=revision)
            await asyncio.sleep(0.01)
            kept.append(sum(len(event.kv.value) for event in backend._log._events))
        assert max(kept) < bound * 1.1
        assert min(kept[50:]) > bound * 0.4
        assert backend.current_revision == 202


async def test_an_idle_store_has_no_timer():
    async with open_memory(history_s=300) as backend:
        await backend.create(b"/a", b"1")
        await asyncio.sleep(1000)
        assert not asyncio.get_running_loop()._scheduled


async def test_somebody_elses_compaction_does_no_harm():
    async with open_memory(history_s=300) as backend:
        for number in range(5):
            await backend.create(b"/%d" % number, b"1")
        await asyncio.sleep(1)
        await backend.compact(6)
        await asyncio.sleep(700)
        await backend.create(b"/x", LARGE)
        await asyncio.sleep(700)
        assert (await backend.status()).compact_revision == 7

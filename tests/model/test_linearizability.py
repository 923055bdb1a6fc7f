"""Concurrent histories of each store are linearizable, and the checker notices when they are not (215)."""

from __future__ import annotations

import asyncio
import random

import pytest

from k3py.datastore.factory import open_backend
from k3py.datastore.interface import Revision
from tests.support.databases import fresh_endpoint
from tests.support.linearizability import Operation, is_linearizable, record


def op(kind, called, returned, outcome, expected=0):
    return Operation(kind, expected, called, returned, outcome)


def unknown(kind, called, expected=0):
    return Operation(kind, expected, called)


@pytest.mark.parametrize(
    "history",
    [
        [],
        [op("create", 0, 1, 2), op("read", 2, 3, 2)],
        [op("create", 0, 9, 2), op("read", 1, 2, 0), op("read", 3, 4, 2)],
        [op("create", 0, 9, 2), op("create", 0, 9, 0)],
        [
            op("create", 0, 1, 2),
            op("update", 2, 9, 3, 2),
            op("update", 2, 9, (3,), 2),
            op("delete", 10, 11, 4, 3),
            op("read", 12, 13, 0),
        ],
        [unknown("create", 0), op("read", 1, 2, 0), op("read", 3, 4, 7), op("create", 5, 6, 0)],
        [unknown("create", 0), op("create", 1, 2, 5)],
        [op("create", 0, 1, 2), unknown("delete", 2, 2), op("read", 3, 4, 2), op("read", 5, 6, 0)],
    ],
)
def test_right_histories_are_accepted(history):
    assert is_linearizable(history)


@pytest.mark.parametrize(
    "history",
    [
        [op("create", 0, 1, 2), op("read", 2, 3, 0)],  # a stale read
        [op("create", 0, 1, 2), op("read", 2, 3, 7)],  # a value that nobody wrote
        [op("create", 0, 9, 2), op("read", 1, 2, 2), op("read", 3, 4, 0)],  # there and gone again
        [op("create", 0, 9, 2), op("create", 0, 9, 3)],  # two creations
        [op("create", 0, 1, 0)],  # it does not exist
        [op("create", 0, 1, 2), op("update", 2, 9, 3, 2), op("update", 2, 9, 4, 2)],  # a lost update
        [op("create", 0, 1, 2), op("update", 2, 3, (2,), 2)],  # refused without a reason
        [op("create", 0, 1, 2), op("delete", 2, 3, 3, 2), op("read", 4, 5, 2)],
        [op("create", 0, 1, 2), unknown("update", 2, 2), op("read", 3, 4, 7), op("read", 5, 6, 2)],
    ],
)
def test_wrong_histories_are_caught(history):
    assert not is_linearizable(history)


class StaleReads:
    """A backend that answers reads from what it knew a moment ago."""

    def __init__(self, backend):
        self._backend = backend
        self._before = {}

    def __getattr__(self, name):
        return getattr(self._backend, name)

    async def range(self, key, *arguments, **options):
        now = await self._backend.range(key, *arguments, **options)
        before, self._before[key] = self._before.get(key, now), now
        return before


class LostUpdates:
    """A backend that compares before it waits for its turn."""

    def __init__(self, backend):
        self._backend = backend

    def __getattr__(self, name):
        return getattr(self._backend, name)

    async def update(self, key, value, *, expected, **options):
        kvs = (await self._backend.range(key)).kvs
        if not kvs or kvs[0].mod_revision != expected:
            return None, kvs[0] if kvs else None
        for _ in range(5):
            await asyncio.sleep(0)
        kvs = (await self._backend.range(key)).kvs
        return await self._backend.update(key, value, expected=kvs[0].mod_revision if kvs else Revision(0))


@pytest.mark.parametrize("broken", [StaleReads, LostUpdates])
async def test_broken_stores_are_caught(broken):
    async with open_backend("memory://") as backend:
        recorder = await record([broken(backend)], random.Random(7), clients=6, count=60)
    with pytest.raises(AssertionError):
        recorder.check()


@pytest.mark.slow
@pytest.mark.parametrize("driver", ["memory", "sqlite", "postgres", "mysql"])
async def test_concurrent_histories_are_linearizable(driver, tmp_path):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    shared = driver in ("postgres", "mysql")
    if shared:
        endpoint = fresh_endpoint(driver)
    else:
        endpoint = "memory://" if driver == "memory" else f"sqlite://{tmp_path}/state.db"
    async with open_backend(endpoint) as first:
        if shared:
            async with open_backend(endpoint) as second:
                recorder = await record([first, second], random.Random(seed), clients=6, count=60)
        else:
            recorder = await record([first], random.Random(seed), clients=6, count=100)
    recorder.check()
    assert len(recorder) >= 360

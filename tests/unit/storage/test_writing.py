"""A drain waits for all writes that began before it, and for no later one."""

import asyncio

import pytest

from k3py.storage.writing import Writing
from k3py.util.supervise import TaskScope


async def test_a_drain_waits_for_earlier_writes_in_any_order_and_not_for_later_ones():
    writing = Writing()
    first, second, later = writing.inside(), writing.inside(), writing.inside()
    first.__enter__()
    second.__enter__()
    drained = asyncio.Event()

    async def drain():
        await writing.drain()
        drained.set()

    async with TaskScope() as scope:
        _ = scope.spawn(drain(), name="drain")
        await asyncio.sleep(0)
        later.__enter__()
        second.__exit__(None, None, None)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not drained.is_set()
        first.__exit__(None, None, None)
        await drained.wait()
    await asyncio.wait_for(_both(writing, later), 30)


async def _both(writing, later):
    """A second drain has to wait for what came during the first."""
    async with TaskScope() as scope:
        task = scope.spawn(writing.drain(), name="drain")
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done()
        later.__exit__(None, None, None)


async def test_a_drain_of_nothing_returns_at_once():
    await Writing().drain()


async def test_a_write_that_fails_has_left():
    writing = Writing()
    with pytest.raises(ValueError, match="failed"), writing.inside():
        raise ValueError("failed")
    await writing.drain()

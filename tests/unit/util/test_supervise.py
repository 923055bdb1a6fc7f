"""Scopes of tasks."""

import asyncio

import pytest

from k3py.util.supervise import TaskScope


async def test_a_cancellation_that_comes_while_a_scope_ends_by_an_error_is_not_forgotten():
    ending = asyncio.Event()

    async def slow_to_end():
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await asyncio.sleep(0)

    async def work():
        try:
            async with TaskScope() as scope:
                scope.spawn(slow_to_end(), name="slow")
                await asyncio.sleep(0)
                int("no number")
        except ValueError:
            await asyncio.sleep(0)
            return "went on"

    task = asyncio.get_running_loop().create_task(work())
    await ending.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

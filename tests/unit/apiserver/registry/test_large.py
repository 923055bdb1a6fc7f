"""Where work on objects is done."""

import asyncio
import threading

from k3py.apiserver.registry.large import LARGE_BYTES, give_turn, run_sized


async def test_small_work_is_done_at_once_and_large_work_in_a_thread():
    assert await run_sized(LARGE_BYTES, threading.get_ident) == threading.get_ident()
    assert await run_sized(LARGE_BYTES + 1, threading.get_ident) != threading.get_ident()


async def test_others_have_a_turn_between_steps_of_large_work():
    seen = []
    asyncio.get_running_loop().call_soon(seen.append, "other")
    await give_turn(LARGE_BYTES)
    assert seen == []
    await give_turn(LARGE_BYTES + 1)
    assert seen == ["other"]

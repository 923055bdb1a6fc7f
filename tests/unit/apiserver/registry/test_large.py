"""Where work on objects is done."""

import threading

from k3py.apiserver.registry.large import LARGE_BYTES, run_sized


async def test_small_work_is_done_at_once_and_large_work_in_a_thread():
    assert await run_sized(LARGE_BYTES, threading.get_ident) == threading.get_ident()
    assert await run_sized(LARGE_BYTES + 1, threading.get_ident) != threading.get_ident()

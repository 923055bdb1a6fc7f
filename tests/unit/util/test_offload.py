"""Blocking work leaves the loop free, and its outcome comes back."""

import asyncio
import threading

import pytest

from k3py.util.offload import offload


async def test_the_loop_runs_on_meanwhile():
    release = threading.Event()
    asyncio.get_running_loop().call_soon(release.set)
    assert await offload(release.wait, timeout=5) is True


async def test_errors_come_back():
    with pytest.raises(ZeroDivisionError):
        await offload(divmod, 1, 0)

"""Slices of long work."""

import asyncio

from k3py.util import turns
from k3py.util.supervise import TaskScope
from k3py.util.turns import Turns


async def test_others_run_once_a_slice_is_over(monkeypatch):
    seen = []

    async def other():
        seen.append("other")

    monkeypatch.setattr(turns, "SLICE_S", 60.0)
    one = Turns()
    async with TaskScope() as scope:
        scope.spawn(other(), name="other")
        await one.take()
        assert seen == []  # the slice has just begun
        monkeypatch.setattr(turns, "SLICE_S", 0.0)
        await one.take()
        assert seen == ["other"]
        await asyncio.sleep(0)

"""The lag of the event loop is measured while it is read."""

from __future__ import annotations

import asyncio
import time

import pytest

from k3py.util.loop_lag import LoopLag


def value_of(metric):
    return float(list(metric.iter_lines())[-1].split()[1])


async def test_a_blocked_loop_shows_at_the_next_reading():
    metric = LoopLag().metric()
    assert value_of(metric) == 0
    await asyncio.sleep(0)
    time.sleep(0.2)
    await asyncio.sleep(1.1)
    assert 0.1 < value_of(metric) < 0.6


@pytest.mark.looptime
async def test_nothing_is_measured_unless_it_is_read():
    metric = LoopLag().metric()
    value_of(metric)
    await asyncio.sleep(1.5)
    assert not asyncio.get_running_loop()._scheduled

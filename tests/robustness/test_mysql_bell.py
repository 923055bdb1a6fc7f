"""Servers on a MariaDB wake each other by its named locks."""

from __future__ import annotations

import asyncio

import pytest

from k3py.datastore.drivers import mysql
from k3py.datastore.factory import open_backend
from tests.support.databases import fresh_endpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def endpoint():
    return fresh_endpoint("mysql")


async def listening(backend, count):
    """Wait until so many connections wait for a bell."""
    async with asyncio.timeout(30), backend._log.reading() as session:
        while True:
            ((waiting,),) = await session.run(
                "SELECT count(*) FROM information_schema.processlist WHERE state = 'User lock'"
            )
            if waiting >= count:
                return
            await asyncio.sleep(0.01)


async def next_keys(watch):
    while True:
        batch = await asyncio.wait_for(anext(watch), 30)
        if batch.events:
            return [event.kv.key for event in batch.events]


async def test_an_idle_server_is_woken_by_each_of_the_others(endpoint, monkeypatch):
    monkeypatch.setattr(mysql, "LAST_POLL_S", 3600.0)  # the poll does not help
    monkeypatch.setattr(mysql, "POLL_GROWTH", 1e9)
    async with open_backend(endpoint) as first, open_backend(endpoint) as second:
        await first.create(b"/first", b"")
        await second.create(b"/second", b"")
        async with open_backend(endpoint) as idle, idle.watch(b"/n/", b"/n0", after=1) as watch:
            for number in range(6):
                await listening(first, 4)
                await (first, second)[number % 2].create(b"/n/%d" % number, b"")
                assert await next_keys(watch) == [b"/n/%d" % number]


async def test_many_writes_are_heard_and_a_server_that_is_gone_hurts_nobody(endpoint):
    async with open_backend(endpoint) as writer:
        async with open_backend(endpoint) as gone:
            await gone.create(b"/gone", b"")
            await writer.create(b"/writer", b"")
            async with open_backend(endpoint) as idle:
                async with idle.watch(b"/n/", b"/n0", after=1) as watch:
                    await listening(writer, 4)
                    async with asyncio.TaskGroup() as tasks:
                        for number in range(50):
                            tasks.create_task(writer.create(b"/n/%02d" % number, b""))
                    seen = []
                    while len(seen) < 50:
                        seen += await next_keys(watch)
                    assert sorted(seen) == [b"/n/%02d" % number for number in range(50)]
        await writer.create(b"/n/last", b"")

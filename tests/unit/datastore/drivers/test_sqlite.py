"""Durability modes of SQLite: when it syncs, what it writes (254, 255)."""

from __future__ import annotations

import asyncio

import pytest

from k3py.datastore import durability
from k3py.datastore.drivers import sqlite
from k3py.datastore.drivers.sqlite import open_sqlite
from k3py.datastore.durability import Durability, Effort


async def pragma(backend, name):
    ((value,),) = await backend._log._fetch(backend._log._writer, f"PRAGMA {name}")
    return value


@pytest.mark.parametrize(
    ("mode", "synchronous"),
    [(Durability.DURABLE, 2), (Durability.BALANCED, 1), (Durability.FLASH, 1)],
)
async def test_modes_sync_as_they_say(tmp_path, mode, synchronous):
    async with open_sqlite(tmp_path / "state.db", history_s=None, durability=mode) as backend:
        assert await pragma(backend, "synchronous") == synchronous
        assert await pragma(backend, "page_size") == 1024


async def test_writes_are_synced_soon_and_an_idle_store_syncs_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(durability._EFFORTS, Durability.BALANCED, Effort(0.01, 0.0, 4 << 20))
    synced = asyncio.Queue()
    loop = asyncio.get_running_loop()
    real = sqlite.sync_data

    def record(path):
        real(path)
        loop.call_soon_threadsafe(synced.put_nowait, path.name)

    monkeypatch.setattr(sqlite, "sync_data", record)
    async with open_sqlite(tmp_path / "state.db", history_s=None, durability=Durability.BALANCED) as backend:
        for number in range(2):
            assert synced.empty()
            await backend.create(b"/%d" % number, b"")
            assert await synced.get() == "state.db-wal"


async def test_flash_collects_writes_into_one_commit(tmp_path, monkeypatch):
    commits = []
    async with open_sqlite(tmp_path / "state.db", history_s=None, durability=Durability.FLASH) as backend:
        append = backend._log.append

        async def count(commit):
            commits.append(len(commit.events))
            await append(commit)

        monkeypatch.setattr(backend._log, "append", count)

        async def write(number):
            await asyncio.sleep(0)
            for _ in range(number):
                await asyncio.sleep(0)  # the turns in which they come differ
            return await backend.create(b"/%d" % number, b"")

        async with asyncio.TaskGroup() as tasks:
            for number in range(20):
                tasks.create_task(write(number))
        assert sum(commits) == 20
        assert len(commits) < 20


async def test_a_remembered_row_is_not_read_behind_a_commit_that_somebody_has_seen(tmp_path):  # 136
    async with open_sqlite(tmp_path / "state.db", history_s=None) as backend:
        await backend.create(b"/a", b"1")
        newest = await backend.create(b"/b", b"1")
        # As between a commit on the disk and its writer's hearing of it.
        backend._log._revision = newest - 1
        seen = await backend.range(b"/", b"0")
        assert seen.revision == newest
        assert (await backend.range(b"/a")).revision == newest

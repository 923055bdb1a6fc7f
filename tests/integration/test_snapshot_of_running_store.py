"""A snapshot is made by another process while the store is written to: it is one moment of the store, and disturbs nobody."""

from __future__ import annotations

import asyncio
import sys

import pytest

from k3py.datastore.factory import open_backend
from k3py.datastore.snapshot.restoring import restore_database
from tests.support.stores import read_store


@pytest.mark.slow
async def test_another_process_makes_a_snapshot_between_writes(tmp_path):
    (tmp_path / "config.yaml").touch()
    written = 0
    stop = asyncio.Event()

    async def write():
        nonlocal written
        while not stop.is_set():
            assert await backend.create(b"/%06d" % written, b"x" * 500) is not None
            written += 1

    async with open_backend("", data_dir=tmp_path / "data/server") as backend, asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        while written < 200:
            await asyncio.sleep(0.01)
        for _ in range(2):
            before = written
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "k3py", "etcd-snapshot", "save", "--dir", tmp_path / "snapshots"),
                *("--data-dir", tmp_path / "data", "--config", tmp_path / "config.yaml"),
            )
            assert await process.wait() == 0
            after = written
        assert after > before + 10, "nothing was written meanwhile"
        stop.set()
    first, second = sorted((tmp_path / "snapshots").glob("on-demand-*"))
    await restore_database(second, tmp_path / "restored.db")
    found = await read_store(tmp_path / "restored.db")
    assert before <= len(found) <= after + 1
    assert sorted(found) == [b"/%06d" % number for number in range(len(found))]
    assert first.exists()
    # Whoever writes lost nothing.
    async with open_backend("", data_dir=tmp_path / "data/server") as backend:
        assert backend.current_revision == written + 1
        assert (await backend.range(b"/", b"0", count_only=True)).count == written

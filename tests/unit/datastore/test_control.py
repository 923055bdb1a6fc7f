"""Commands reach the process that has an SQLite store open, and nobody else does."""

from __future__ import annotations

import asyncio
import os

import orjson
import pytest

from k3py.datastore.control import ask, serve_control
from k3py.datastore.drivers.sqlite import open_sqlite
from k3py.datastore.errors import DatastoreError, Unavailable


@pytest.fixture
async def store(tmp_path):
    # Deeper than the kernel allows for the name of a socket.
    path = tmp_path / ("deep" * 30) / "state.db"
    async with open_sqlite(path, history_s=None) as backend, serve_control(backend, path):
        yield backend, path


async def overwrite(backend, times, size=20_000):
    revision = await backend.create(b"/a", b"")
    for _ in range(times):
        revision, _ = await backend.update(b"/a", os.urandom(size), expected=revision)
    return revision


async def test_a_running_store_is_looked_at_compacted_and_defragmented(store):
    backend, path = store
    revision = await overwrite(backend, 100)
    status = await ask(path, "status")
    assert (status.driver, status.revision, status.compact_revision) == ("sqlite", revision, 0)
    check = await ask(path, "check")
    assert (check.keys, len(check.digest)) == (1, 64)
    assert (await ask(path, "compact", 50)).compact_revision == 50
    compacted = await ask(path, "compact")
    assert compacted.compact_revision == revision
    assert compacted.size_in_use_bytes < status.size_in_use_bytes / 5
    assert (await ask(path, "compact")).compact_revision == revision  # nothing left is no error
    done = await ask(path, "defrag")
    assert done.size_bytes == done.size_in_use_bytes
    assert path.stat().st_size == done.size_bytes
    assert (await ask(path, "check")).digest == check.digest


async def test_refusals_are_told(store):
    backend, path = store
    await overwrite(backend, 1)
    with pytest.raises(DatastoreError, match="future revision"):
        await ask(path, "compact", 99)
    with pytest.raises(DatastoreError, match="unknown operation 'explode'"):
        await ask(path, "explode")


@pytest.mark.parametrize("line", [b"nonsense\n", b"[]\n", b"{}\n", b'{"operation":1,"revision":"x"}\n', b"x" * 5000])
async def test_nonsense_is_answered_and_hurts_nobody(store, line):
    backend, path = store
    folder = os.open(path.parent, os.O_PATH)
    reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/state.db.sock")
    os.close(folder)
    writer.write(line)
    assert "error" in orjson.loads(await reader.readline())
    writer.close()
    assert (await ask(path, "status")).revision == backend.current_revision


async def test_only_the_owner_may_connect_and_the_socket_goes_with_the_store(tmp_path):
    path = tmp_path / "state.db"
    async with open_sqlite(path, history_s=None) as backend:
        path.with_name("state.db.sock").touch()  # left by a killed process
        async with serve_control(backend, path):
            assert path.with_name("state.db.sock").stat().st_mode & 0o777 == 0o600
    assert not path.with_name("state.db.sock").exists()
    with pytest.raises(FileNotFoundError):
        await ask(path, "status")


async def test_a_process_that_ends_meanwhile_is_told(tmp_path):
    path = tmp_path / "state.db"

    async def hang_up(reader, writer):
        await reader.readline()
        writer.close()

    async with await asyncio.start_unix_server(hang_up, path.with_name("state.db.sock")):
        with pytest.raises(Unavailable, match="ended meanwhile"):
            await ask(path, "status")

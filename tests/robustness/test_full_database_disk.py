"""The disk below a database server is full: writes are refused or fail, nothing acknowledged is lost, and space heals it [271]."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from contextlib import contextmanager

import pytest

from k3py.datastore.errors import NoSpace, Unavailable
from k3py.datastore.factory import open_backend
from k3py.datastore.mvcc import shared_backend
from tests.robustness.test_shared_database import ALL, check_history, seen_revision
from tests.support.databases import is_installed, running, small_disk

WRITTEN_AT_MOST = 3_000
SMALL_MB = 32
SETTINGS = {
    "postgres": {"min_wal_size": "32MB", "max_wal_size": "32MB", "autovacuum": "off"},
    "mysql": {"innodb-file-per-table": "1"},
}
DISK_MB = {"postgres": 160, "mysql": 260}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


async def write_until_full(backend, acked, refused):
    """Write until there is no space or no server; return what was said."""
    for number in range(WRITTEN_AT_MOST):
        key = b"/fill/%d" % number
        try:
            acked[await backend.create(key, os.urandom(100_000))] = key
        except NoSpace as error:
            refused.append(key)
            return error
        except Unavailable as error:
            return error
    raise AssertionError("the disk never got full")


def fill(folder, left_mb):
    """Leave so much on the file system; return the file that takes the rest."""
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, shutil.disk_usage(folder).free - (left_mb << 20)))
    return ballast


@contextmanager
def tables_on_a_small_disk(server):
    """Put PostgreSQL's database `kubernetes` on a file system of its own, apart from the server's log; yield its folder."""
    folder = server.folder / "small"
    folder.mkdir()
    with small_disk(folder, SMALL_MB):
        server.run_sql(f"CREATE TABLESPACE small LOCATION '{folder}'")
        server.run_sql("CREATE DATABASE kubernetes TABLESPACE small TEMPLATE template0 ENCODING UTF8")
        yield folder
        server.kill()


async def eventually(make, server, seconds=120):
    """Do it once the server is back, started again if it gave up."""
    deadline = time.monotonic() + seconds
    while True:
        if not server.is_running:
            await asyncio.to_thread(server.start)
        try:
            return await make()
        except (NoSpace, Unavailable):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)


async def check(backend, watch, acked, refused):
    """Everything acknowledged is there in order, and nothing that was refused for sure."""
    revision = await backend.latest_revision()
    events = []
    while seen_revision(events) < revision:
        events.extend((await asyncio.wait_for(anext(watch), 60)).events)
    check_history(events, (await backend.range(*ALL)).kvs, revision)
    keys = {event.kv.mod_revision: event.kv.key for event in events}
    for number, key in acked.items():
        assert keys[number] == key, f"acknowledged revision {number} is lost"
    assert not set(refused) & set(keys.values()), "a refused write happened"


async def test_without_space_for_tables_postgres_refuses_writes_and_all_else_goes_on():
    """MariaDB has no such state: it aborts when it finds no space for the roll-back either."""
    if not is_installed("postgres"):
        pytest.skip("postgres is not installed")
    acked, refused = {}, []
    with running("postgres") as server, tables_on_a_small_disk(server) as folder:
        async with open_backend(server.endpoint("kubernetes"), history_s=None) as backend:
            acked[await backend.create(b"/before", b"")] = b"/before"
            ballast = fill(folder, 6)
            async with backend.watch(*ALL, after=1) as watch:
                said = await write_until_full(backend, acked, refused)
                assert isinstance(said, NoSpace), said
                assert "no space left for the database" in str(said)
                before = backend.current_revision
                assert (await backend.range(b"/before")).count == 1
                assert (await backend.range(*ALL, count_only=True)).count == len(acked)
                assert await backend.create(b"/before", b"") is None
                with pytest.raises(NoSpace):
                    await backend.create(b"/again", os.urandom(1_000_000))
                assert await backend.latest_revision() == before
                ballast.unlink()
                assert await backend.create(b"/after", os.urandom(100_000)) == before + 1
                acked[before + 1] = b"/after"
                await check(backend, watch, acked, refused)
        assert server.is_running


@pytest.mark.parametrize("scheme", ["postgres", "mysql"])
async def test_a_server_that_gives_up_on_its_full_disk_loses_nothing(scheme, monkeypatch):
    monkeypatch.setattr(shared_backend, "RESOLVE_S", 2.0)  # it does not come back by itself
    if not is_installed(scheme):
        pytest.skip(f"{scheme} is not installed")
    acked, refused = {}, []
    with running(scheme, SETTINGS[scheme], disk_mb=DISK_MB[scheme]) as server:
        async with open_backend(server.endpoint("kubernetes"), history_s=None) as backend:
            acked[await backend.create(b"/before", b"")] = b"/before"
            ballast = fill(server.folder, 12)
            async with backend.watch(*ALL, after=1) as watch:
                said = await write_until_full(backend, acked, refused)
                print(f"{type(said).__name__}; {len(acked)} written; the server runs: {server.is_running}")
                ballast.unlink()
                revision = await eventually(lambda: backend.create(b"/after", os.urandom(100_000)), server)
                acked[revision] = b"/after"
                await check(backend, watch, acked, refused)

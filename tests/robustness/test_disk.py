"""What the disk can do to the database: it is full, the file is damaged, or somebody else has it open."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys

import pytest

from k3py.datastore import durability
from k3py.datastore.drivers.sqlite import open_sqlite
from k3py.datastore.errors import Corrupt, Locked, NoSpace, Unavailable
from k3py.datastore.factory import open_backend
from k3py.datastore.interface import Compare, CompareResult, CompareTarget, RangeOp
from k3py.datastore.sql.sqlite import reserve

ALL = (b"\0", b"\0")


def opening(path):
    return open_sqlite(path, history_s=None)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB."""
    mount = shutil.which("mount")
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or mount is None:
        pytest.skip("mounting a small file system needs root")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=3m", "k3py-test", folder], capture_output=True)
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


async def fill(backend):
    """Write until there is no space; return the number of writes that worked."""
    written = 0
    while not isinstance(await outcome(backend.create(b"/fill/%d" % written, b"x" * 5_000)), NoSpace):
        written += 1
        assert written < 10_000
    return written


async def check_full(backend, written):
    """Writes are refused without using up a revision, everything else goes on."""
    before = backend.current_revision
    with pytest.raises(NoSpace):
        await backend.create(b"/more", b"x" * 100_000)
    result = await backend.range(b"/fill/", b"/fill0")
    assert (result.count, result.revision) == (written, before)
    assert await backend.create(b"/fill/0", b"") is None
    absent = Compare(b"/fill/0", CompareTarget.MOD, CompareResult.EQUAL, 0)
    assert not (await backend.txn((absent,), (), (RangeOp(b"/fill/0"),))).succeeded
    async with asyncio.TaskGroup() as tasks:
        lost = tasks.create_task(backend.update(b"/fill/1", b"", expected=1))
        refused = tasks.create_task(outcome(backend.create(b"/more", b"x" * 100_000)))
    assert lost.result()[0] is None
    assert isinstance(refused.result(), NoSpace)
    assert backend.current_revision == before


async def outcome(awaitable):
    try:
        return await awaitable
    except NoSpace as error:
        return error


async def test_a_full_disk_refuses_writes_reads_go_on_and_space_heals_it(small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (1 << 20))
    async with opening(small_disk / "state.db") as backend, backend.watch(*ALL, after=1) as watch:
        written = await fill(backend)
        assert written > 20
        await check_full(backend, written)
        ballast.unlink()
        revision = backend.current_revision
        assert await backend.create(b"/healed", b"x" * 5_000) == revision + 1
        seen = []
        while len(seen) < written + 1:
            seen.extend((await asyncio.wait_for(anext(watch), 5)).events)
        assert [event.kv.mod_revision for event in seen] == list(range(2, revision + 2))
    async with opening(small_disk / "state.db") as backend:
        assert backend.current_revision == revision + 1


async def test_a_file_at_its_size_limit_is_a_full_disk(tmp_path):
    async with opening(tmp_path / "state.db") as backend:
        (pages,) = await backend._log._fetch(backend._log._writer, "PRAGMA page_count")
        await backend._log._fetch(backend._log._writer, f"PRAGMA max_page_count = {pages[0] + 100}")
        written = await fill(backend)
        await check_full(backend, written)
        await backend._log._fetch(backend._log._writer, "PRAGMA max_page_count = 100000")
        assert await backend.create(b"/healed", b"x" * 5_000) == written + 2


async def filled(path, count=200):
    async with opening(path) as backend:
        for number in range(count):
            await backend.create(b"/%05d" % number, os.urandom(1_000))


async def test_a_damaged_header_is_told_with_the_file_and_the_remedy(tmp_path):
    path = tmp_path / "state.db"
    await filled(path)
    with path.open("r+b") as file:
        file.write(b"no database here")
    with pytest.raises(Corrupt) as caught:
        async with opening(path):
            pass
    assert str(path) in str(caught.value)
    assert "restore a snapshot" in str(caught.value)


async def test_a_truncated_file_is_told(tmp_path):
    path = tmp_path / "state.db"
    await filled(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(Corrupt, match=r"state\.db is damaged"):
        async with opening(path) as backend:
            await backend.range(*ALL)


async def test_damage_in_the_middle_is_told_where_it_is_read(tmp_path):
    path = tmp_path / "state.db"
    await filled(path)
    with path.open("r+b") as file:
        for page in range(8, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xaa" * 4096)
    with pytest.raises(Corrupt, match=r"state\.db is damaged"):
        async with opening(path) as backend:
            await backend.range(*ALL)


async def test_damage_after_an_unclean_stop_is_found_at_opening(tmp_path):
    path = tmp_path / "state.db"
    async with opening(path) as backend:
        for number in range(300):
            await backend.create(b"/%05d" % number, os.urandom(3_000))
        await backend._log._fetch(backend._log._writer, "PRAGMA wal_checkpoint(PASSIVE)")
        await backend.create(b"/last", b"")
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{tmp_path}/copy.db{suffix}")
    copy = tmp_path / "copy.db"
    with copy.open("r+b") as file:
        file.seek(copy.stat().st_size // 4096 // 2 * 4096)
        file.write(b"\xaa" * 4096)
    with pytest.raises(Corrupt, match=r"copy\.db is damaged"):
        async with opening(copy):
            pass


async def test_a_database_of_somebody_else_is_left_alone(tmp_path):
    path = tmp_path / "state.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE kine (id INTEGER PRIMARY KEY, name TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(Corrupt, match="not one of k3py"):
        async with opening(path):
            pass
    assert path.read_bytes() == before


async def test_a_newer_schema_is_refused(tmp_path):
    path = tmp_path / "state.db"
    await filled(path, 1)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Unavailable, match="newer k3py"):
        async with opening(path):
            pass


async def test_a_second_process_is_told_who_has_the_database(tmp_path):
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from k3py.datastore.factory import open_backend\n"
        "async def main():\n"
        "    async with open_backend('', data_dir=Path(sys.argv[1])) as backend:\n"
        "        await backend.create(b'/a', b'1')\n"
        "        print('open', flush=True)\n"
        "        await asyncio.to_thread(sys.stdin.read)\n"
        "asyncio.run(main())\n"
    )
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert await other.stdout.readline() == b"open\n"
    with pytest.raises(Locked, match=rf"state\.db is in use by process {other.pid}"):
        async with open_backend("", data_dir=tmp_path):
            pass
    other.kill()
    await other.wait()
    async with open_backend("", data_dir=tmp_path) as backend:
        assert (await backend.range(b"/a")).kvs[0].value == b"1"


async def test_files_are_for_the_owner_only(tmp_path):
    async with open_backend("", data_dir=tmp_path / "data") as backend:
        await backend.create(b"/a", b"")
        folder = tmp_path / "data" / "db"
        assert folder.stat().st_mode & 0o777 == 0o700
        modes = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}
    assert set(modes) == {"state.db", "state.db-wal", "state.db-shm", "state.db.lock", "state.db-reserve", "state.db.run"}
    assert set(modes.values()) == {0o600}


async def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot open the database"):
        async with opening(tmp_path / "file" / "state.db"):
            pass


async def test_a_store_that_fills_its_disk_by_itself_can_still_be_emptied(small_disk, monkeypatch):
    monkeypatch.setattr(reserve, "RESERVE_BYTES", 1 << 20)
    monkeypatch.setattr(reserve, "SHARE", 2)
    monkeypatch.setitem(durability._EFFORTS, durability.Durability.DURABLE, durability.Effort(0.0, 0.0, 256 << 10))
    async with opening(small_disk / "state.db") as backend:
        assert (small_disk / "state.db-reserve").exists()
        made = {}
        for size in (50_000, 5_000, 500, 1):
            while not isinstance(
                revision := await outcome(backend.create(b"/%d" % len(made), b"x" * size)), NoSpace
            ):
                made[b"/%d" % len(made)] = revision
        assert (small_disk / "state.db-reserve").exists(), "only deletions may use it"
        for key, revision in made.items():
            assert (await backend.delete(key, expected=revision))[0] is not None
        assert (await backend.range(*ALL)).count == 0
    async with opening(small_disk / "state.db") as backend:  # closing has emptied the write-ahead log
        assert await backend.create(b"/new", b"x" * 50_000) is not None

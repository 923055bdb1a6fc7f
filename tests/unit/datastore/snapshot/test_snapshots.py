"""Snapshots are complete, private, listed, pruned, and come back as they were, with later revisions [253]."""

from __future__ import annotations

import gzip
import sqlite3
import stat
import zlib
from types import SimpleNamespace

import pytest

from k3py.datastore.errors import Compacted, Locked
from k3py.datastore.factory import open_backend
from k3py.datastore.snapshot import saving
from k3py.datastore.snapshot.errors import SnapshotError
from k3py.datastore.snapshot.folder import SnapshotFolder
from k3py.datastore.snapshot.restoring import restore_backend, restore_database
from k3py.datastore.snapshot.saving import SnapshotSettings, save_backend, save_database
from k3py.datastore.transfer.errors import NotEmpty
from k3py.datastore.transfer.loading import MARGIN
from k3py.util.lock_file import FileLock
from tests.support.stores import fill_store, read_store


@pytest.fixture
def settings(tmp_path):
    return SnapshotSettings(folder=tmp_path / "snapshots", name="on-demand", node_name="node-1")


@pytest.fixture
def database(tmp_path):
    return tmp_path / "db" / "state.db"


async def test_a_snapshot_is_private_and_named_after_node_and_time(settings, database):
    await fill_store(database)
    made = await save_database(settings, database)
    assert made.name.startswith("on-demand-node-1-")
    assert made.name.endswith(".gz")
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.folder.stat().st_mode) == 0o700
    assert [one.name for one in SnapshotFolder(settings.folder).snapshots()] == [made.name]
    assert {path.name for path in settings.folder.iterdir()} == {made.name, ".lock"}


async def test_a_snapshot_of_an_open_store_holds_what_was_committed(settings, database):
    async with open_backend(f"sqlite://{database}") as backend:
        await backend.create(b"/a", b"1")
        made = await save_database(settings, database)
        await backend.create(b"/b", b"2")
    await restore_database(made.path, database)
    assert await read_store(database) == {b"/a": b"1"}


@pytest.mark.parametrize("compress", [True, False])
async def test_a_restored_store_is_the_old_one_with_later_revisions(settings, database, compress):
    content = await fill_store(database)
    settings = SnapshotSettings(folder=settings.folder, name="n", node_name="m", compress=compress)
    made = await save_database(settings, database)
    async with open_backend(f"sqlite://{database}") as backend:
        await backend.create(b"/later", b"lost")
        seen = backend.current_revision
    restored = await restore_database(made.path, database)
    assert restored.count == len(content)
    assert restored.kept is not None
    assert await read_store(restored.kept / "state.db") == {**content, b"/later": b"lost"}
    async with open_backend(f"sqlite://{database}") as backend:
        assert backend.current_revision == restored.revision >= seen + MARGIN
        async with backend.watch(b"/", b"0", after=seen) as watch:
            with pytest.raises(Compacted):
                await anext(watch)
        assert await backend.create(b"/new", b"") == restored.revision + 1
        kvs = (await backend.range(b"/registry/", b"/registry0")).kvs
    assert {kv.key: kv.value for kv in kvs} == content


async def test_a_dump_of_any_store_can_be_restored(settings, database):
    async with open_backend("memory://") as backend:
        await backend.create(b"/a", b"1")
        made = await save_backend(settings, backend)
    await fill_store(database)
    await restore_database(made.path, database)
    assert await read_store(database) == {b"/a": b"1"}


@pytest.mark.parametrize("logical", [True, False])
async def test_a_snapshot_goes_into_an_empty_store_of_another_driver_only(
    settings, database, tmp_path, logical
):
    content = await fill_store(database)
    if logical:
        async with open_backend(f"sqlite://{database}") as backend:
            made = await save_backend(settings, backend)
    else:
        made = await save_database(settings, database)
    async with open_backend("memory://") as target:
        await restore_backend(made.path, target, name="memory", work=tmp_path)
        assert {kv.key: kv.value for kv in (await target.range(b"\0", b"\0")).kvs} == content
        with pytest.raises(NotEmpty, match=r"memory is not empty: it holds 20 keys"):
            await restore_backend(made.path, target, name="memory", work=tmp_path)


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0x40
    path.write_bytes(data)


def is_harmless(damaged, original):
    """A reference to another place that has the same bytes, say: nothing is lost, and nobody can tell."""
    try:
        return gzip.decompress(damaged) == gzip.decompress(original)
    except (OSError, EOFError, zlib.error):
        return False


@pytest.mark.parametrize("kind", ["copy", "packed", "dump"])
async def test_a_damaged_snapshot_changes_nothing(settings, database, tmp_path, kind):
    content = await fill_store(database, 60)
    if kind == "dump":
        async with open_backend(f"sqlite://{database}") as backend:
            made = await save_backend(settings, backend)
    else:
        settings = SnapshotSettings(
            folder=settings.folder, name="n", node_name="m", compress=kind == "packed"
        )
        made = await save_database(settings, database)
    original = made.path.read_bytes()
    for at in (len(original) // 3, len(original) // 2, len(original) - 600):
        made.path.write_bytes(original)
        if kind == "copy":
            flip(made.path, original.index(b"value 7 value 7") + at % 7)  # a value: only the hash knows
        else:
            flip(made.path, at)
        with pytest.raises(SnapshotError if kind != "dump" else Exception, match=str(made.path)):
            await restore_database(made.path, database)
    made.path.write_bytes(original[: len(original) * 2 // 3])
    with pytest.raises(Exception, match=str(made.path)):
        await restore_database(made.path, database)
    assert await read_store(database) == content
    assert not [
        path.name for path in database.parent.iterdir() if "restor" in path.name or "-old-" in path.name
    ]


async def test_a_store_in_use_is_not_replaced(settings, database):
    await fill_store(database)
    made = await save_database(settings, database)
    with FileLock.acquire(database.with_name("state.db.lock")), pytest.raises(Locked, match="stop it first"):
        await restore_database(made.path, database)


async def test_something_else_is_no_snapshot(database, tmp_path):
    for name, data in (("text", b"hello"), ("packed", gzip.compress(b"hello"))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SnapshotError, match="is no snapshot of k3py"):
            await restore_database(tmp_path / name, database)
    sqlite3.connect(tmp_path / "foreign.db").execute("CREATE TABLE t (a)").connection.close()
    with pytest.raises(SnapshotError, match="not one of k3py"):
        await restore_database(tmp_path / "foreign.db", database)
    with pytest.raises(SnapshotError, match="no such file"):
        await restore_database(tmp_path / "nothing", database)


async def test_pruning_keeps_the_newest_of_one_kind_and_node(settings, tmp_path):
    folder = tmp_path / "snapshots"
    folder.mkdir()
    names = [
        *(f"etcd-snapshot-node-1-17000000{number:02}.gz" for number in range(5)),
        "etcd-snapshot-node-1-b-1700000000.gz",
        "on-demand-node-1-1700000000",
    ]
    for name in (*names, "notes.txt"):
        (folder / name).touch()
    removed = SnapshotFolder(folder).prune("etcd-snapshot-node-1", 2)
    assert removed == names[:3]
    assert {one.name for one in SnapshotFolder(folder).snapshots()} == set(names[3:])
    assert (folder / "notes.txt").exists()


async def test_two_snapshots_are_not_made_at_once_and_remains_are_removed(settings, database):
    await fill_store(database)
    settings.folder.mkdir()
    (settings.folder / ".work-1").write_bytes(b"left by a kill")
    with (
        FileLock.acquire(settings.folder / ".lock"),
        pytest.raises(SnapshotError, match="just making a snapshot"),
    ):
        await save_database(settings, database)
    first = await save_database(settings, database)
    second = await save_database(settings, database)
    assert {path.name for path in settings.folder.iterdir()} == {first.name, second.name, ".lock"}


async def test_there_is_no_snapshot_of_nothing(settings, database):
    with pytest.raises(SnapshotError, match="there is no database"):
        await save_database(settings, database)
    with pytest.raises(SnapshotError, match="etcd-snapshot ls"):
        SnapshotFolder(settings.folder).delete("a-1700000000")
    with pytest.raises(SnapshotError, match="is no name of a snapshot"):
        SnapshotFolder(settings.folder).delete("../../etc/passwd")


async def test_a_snapshot_does_not_fill_the_disk(settings, database, monkeypatch):
    await fill_store(database)
    monkeypatch.setattr(saving.shutil, "disk_usage", lambda _: SimpleNamespace(free=10 << 20))
    with pytest.raises(SnapshotError, match=r"could fill the disk: 10 MB are free, 16 MB are wanted"):
        await save_database(settings, database)
    assert SnapshotFolder(settings.folder).snapshots() == []

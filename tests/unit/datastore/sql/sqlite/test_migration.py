"""Upgrades of the database's schema: the copy before, the way back, and what keeps both from being made."""

import os
import sqlite3
from contextlib import closing

import pytest

from k3py.datastore.drivers.sqlite import open_sqlite
from k3py.datastore.errors import NoSpace, Unavailable
from k3py.datastore.snapshot.sqlite_copy import adopt_copy
from k3py.datastore.sql import migrations
from k3py.datastore.sql.sqlite import migration

PRESENT = migrations.SQLITE
NEXT = (*PRESENT, "sqlite/next.sql")


@pytest.fixture
def newer(monkeypatch):
    """A k3py whose schema is one version ahead; `use(False)` is this one again."""
    script = migrations.script

    def use(on, text="CREATE TABLE added (x INTEGER) STRICT"):
        monkeypatch.setattr(migrations, "SQLITE", NEXT if on else PRESENT)
        monkeypatch.setattr(migrations, "script", lambda name: text if name == "sqlite/next.sql" else script(name))

    return use


async def put(path, key):
    async with open_sqlite(path, history_s=None) as backend:
        await backend.create(key, b"value")


async def keys(path):
    async with open_sqlite(path, history_s=None) as backend:
        return [one.key for one in (await backend.range(b"/", b"0")).kvs]


async def test_an_upgrade_keeps_a_copy_that_leads_back(tmp_path, newer):
    database = tmp_path / "state.db"
    await put(database, b"/before")
    newer(True)
    await put(database, b"/after")
    copy = migration.copy_of(database, len(PRESENT))
    assert copy.stat().st_mode & 0o777 == 0o600
    newer(False)
    with pytest.raises(Unavailable) as refused:
        await keys(database)
    text = str(refused.value)
    assert f"schema version {len(NEXT)}, this one knows {len(PRESENT)}" in text
    assert f"k3py server --cluster-reset --cluster-reset-restore-path={copy}" in text
    adopt_copy(copy, "the copy", floor=0, margin=1000)
    copy.rename(tmp_path / "back.db")
    assert await keys(tmp_path / "back.db") == [b"/before"]


async def test_a_new_database_and_one_of_this_version_are_not_copied(tmp_path, newer):
    await put(tmp_path / "state.db", b"/a")
    await put(tmp_path / "state.db", b"/b")
    assert [path.name for path in tmp_path.glob("*-schema-*")] == []


async def test_an_upgrade_that_fails_changes_nothing(tmp_path, newer):
    database = tmp_path / "state.db"
    await put(database, b"/before")
    newer(True, "CREATE TABLE added (x INTEGER) STRICT; SELECT nonsense FROM nowhere")
    with pytest.raises(Unavailable):
        await keys(database)
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(PRESENT),)
        assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'added'").fetchone() == (0,)
    newer(False)
    assert await keys(database) == [b"/before"]


async def test_without_room_for_the_copy_nothing_is_changed(tmp_path, newer, monkeypatch):
    database = tmp_path / "state.db"
    await put(database, b"/before")
    newer(True)
    usage = os.statvfs(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(migration.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1 << 20}))
        with pytest.raises(NoSpace, match="needs room for a copy: 1 MB are free"):
            await keys(database)
    assert usage.f_bavail
    newer(False)
    assert await keys(database) == [b"/before"]


async def test_what_an_interrupted_copy_left_is_no_hindrance(tmp_path, newer):
    database = tmp_path / "state.db"
    await put(database, b"/before")
    copy = migration.copy_of(database, len(PRESENT))
    copy.with_name(copy.name + ".new").write_bytes(b"half")
    newer(True)
    assert await keys(database) == [b"/before"]
    assert copy.exists()
    assert not copy.with_name(copy.name + ".new").exists()


def test_without_a_copy_snapshots_are_named(tmp_path):
    text = migration.too_new(tmp_path / "state.db", 99)
    assert "--cluster-reset-restore-path=FILE (see `k3py etcd-snapshot ls`" in text

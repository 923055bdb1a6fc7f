"""The snapshot schedule and the restoring start of the server (C-34, D-30, D-32)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from k3py.api.cron import parse_schedule
from k3py.config.server import load_server_config
from k3py.datastore.factory import open_backend
from k3py.datastore.snapshot.errors import SnapshotError
from k3py.datastore.snapshot.folder import Snapshot
from k3py.datastore.snapshot.saving import SnapshotSettings, save_database
from k3py.errors import ConfigError, K3pyError
from k3py.server import snapshots
from k3py.server.cluster_reset import clear_reset_flag, reset_cluster
from k3py.server.snapshots import SnapshotSchedule, scheduled_snapshots
from k3py.util import clock
from tests.support.stores import fill_store, read_store


def config_of(tmp_path, *arguments):
    return load_server_config(
        [f"--data-dir={tmp_path}/data", "--disable-agent", f"--config={config_file(tmp_path)}", *arguments],
        {},
    )


def config_file(tmp_path):
    file = tmp_path / "config.yaml"
    file.touch()
    return file


@pytest.fixture
def sleeps(monkeypatch):
    """Let time pass by sleeping; `sleeps` is what was slept."""
    now = [datetime(2026, 3, 1, 10, 30, tzinfo=UTC).timestamp()]
    slept = []

    async def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(clock, "wall_s", lambda: now[0])
    monkeypatch.setattr(clock, "now", lambda: datetime.fromtimestamp(now[0], tz=UTC))
    monkeypatch.setattr(snapshots.asyncio, "sleep", sleep)
    return slept


async def run_until(component, count, made):
    class Enough(Exception):
        pass

    async def save():
        made.append(clock.now())
        if len(made) >= count:
            raise Enough
        if len(made) == 1:
            raise SnapshotError("no space")
        return Snapshot("n", Path("n"), 1, clock.now())

    component._save = save
    with pytest.raises(Enough):
        await component.run(lambda: None)


async def test_snapshots_are_made_at_their_times_and_one_that_fails_stops_nothing(tmp_path, sleeps):
    settings = SnapshotSettings(folder=tmp_path, name="etcd-snapshot", node_name="n")
    made = []
    await run_until(SnapshotSchedule(parse_schedule("15 * * * *"), settings, None), 3, made)
    assert [at.minute for at in made] == [15, 15, 15]
    assert [at.hour - made[0].hour for at in made] == [0, 1, 2]
    assert len(sleeps) == 3


def test_sqlite_has_a_schedule_and_other_stores_only_if_asked(tmp_path):
    assert len(scheduled_snapshots(config_of(tmp_path), None)) == 1
    assert scheduled_snapshots(config_of(tmp_path, "--etcd-disable-snapshots"), None) == []
    memory = "--datastore-endpoint=memory://"
    assert scheduled_snapshots(config_of(tmp_path, memory), None) == []
    asked = config_of(tmp_path, memory, "--etcd-snapshot-schedule-cron=@daily")
    assert len(scheduled_snapshots(asked, None)) == 1


async def test_a_scheduled_snapshot_is_named_kept_and_pruned(tmp_path):
    config = config_of(tmp_path, "--etcd-snapshot-retention=2", "--node-name=n1")
    database = tmp_path / "data/server/db/state.db"
    async with open_backend("", data_dir=tmp_path / "data/server") as backend:
        await backend.create(b"/a", b"1")
        (component,) = scheduled_snapshots(config, backend)
        for _ in range(3):
            await component._make()
    names = [path.name for path in (database.parent / "snapshots").glob("etcd-snapshot-n1-*.gz")]
    assert len(names) == 2


def test_flags_about_snapshots_are_checked(tmp_path):
    for argument, message in (
        ("--etcd-s3", "--etcd-s3: snapshots in S3 are not available yet"),
        ("--etcd-s3-bucket=b", "--etcd-s3-bucket: snapshots in S3 are not available yet"),
        ("--etcd-snapshot-schedule-cron=often", "expected exactly 5 fields"),
        ("--etcd-snapshot-retention=x", "must be a whole number"),
        ("--cluster-reset", "must be given together with --cluster-reset-restore-path"),
        ("--cluster-reset-restore-path=/x", "must be given together with --cluster-reset"),
    ):
        with pytest.raises(ConfigError, match=message):
            config_of(tmp_path, argument)
    (tmp_path / "config.yaml").write_text("etcd-s3-endpoint: s3.example\n")
    with pytest.raises(ConfigError, match="key 'etcd-s3-endpoint': snapshots in S3 are not available yet"):
        config_of(tmp_path)


async def test_a_restore_happens_once_until_the_server_has_started_again(tmp_path):
    database = tmp_path / "data/server/db/state.db"
    content = await fill_store(database)
    made = await save_database(SnapshotSettings(folder=tmp_path / "s", name="n", node_name="m"), database)
    async with open_backend(f"sqlite://{database}") as backend:
        await backend.create(b"/later", b"")
    config = config_of(tmp_path, "--cluster-reset", f"--cluster-reset-restore-path={made.path}")
    assert await reset_cluster(config) == 0
    assert await read_store(database) == content
    with pytest.raises(K3pyError, match=r"was already restored \(see .*reset-flag\)"):
        await reset_cluster(config)
    left = database.with_name("state.db.restoring")
    left.touch()
    await asyncio.to_thread(clear_reset_flag, config)
    assert not left.exists()
    assert await reset_cluster(config) == 0

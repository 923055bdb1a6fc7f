"""The snapshot schedule and the restoring start of the server (C-34, D-30, D-32)."""

from __future__ import annotations

import asyncio
from base64 import b64encode
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
from k3py.server.snapshot_secret import read_secret
from k3py.server.snapshots import SnapshotSchedule, scheduled_snapshots
from k3py.util import clock
from tests.support.s3_server import ACCESS_KEY, BUCKET, SECRET_KEY, s3_server
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
        ("--etcd-s3-retention=x", "must be a whole number"),
        ("--etcd-snapshot-schedule-cron=often", "expected exactly 5 fields"),
        ("--etcd-snapshot-retention=x", "must be a whole number"),
        ("--cluster-reset-restore-path=/x", "must be given together with --cluster-reset"),
    ):
        with pytest.raises(ConfigError, match=message):
            config_of(tmp_path, argument)
    (tmp_path / "config.yaml").write_text("etcd-snapshot-reconcile-interval: x\n")
    with pytest.raises(ConfigError, match="key 'etcd-snapshot-reconcile-interval': is not available yet"):
        config_of(tmp_path)


def s3_flags(server, *more):
    return (
        *("--etcd-s3", f"--etcd-s3-endpoint=127.0.0.1:{server.port}", "--etcd-s3-insecure"),
        *(f"--etcd-s3-bucket={BUCKET}", f"--etcd-s3-access-key={ACCESS_KEY}"),
        *(f"--etcd-s3-secret-key={SECRET_KEY}", "--etcd-s3-folder=f", *more),
    )


async def test_a_scheduled_snapshot_is_copied_to_s3_which_is_pruned_by_itself(tmp_path, caplog):
    async with s3_server() as server, open_backend("", data_dir=tmp_path / "data/server") as backend:
        config = config_of(tmp_path, "--node-name=n1", *s3_flags(server, "--etcd-s3-retention=2"))
        (component,) = scheduled_snapshots(config, backend)
        for _ in range(3):
            await component._make()
        made = [path.name for path in (tmp_path / "data/server/db/snapshots").glob("etcd-snapshot-n1-*.gz")]
        assert len(made) == 3
        assert sorted(server.objects) == [f"f/{name}" for name in sorted(made)[1:]]
        server.fails = True
        await component._make()
    assert "cannot copy a snapshot to S3" in caplog.text
    assert SECRET_KEY not in caplog.text


class Objects:
    """A client that gives prepared objects by (plural, name)."""

    def __init__(self, **objects):
        self.objects = objects

    async def get(self, resource, name, *, namespace):
        assert namespace == "kube-system"
        return self.objects[resource.plural]


def secret_of(values, kind="etcd.k3s.cattle.io/s3-config-secret"):
    return {"type": kind, "data": {key: b64encode(value.encode()).decode() for key, value in values.items()}}


async def test_a_secret_can_name_the_bucket_of_the_schedule(tmp_path, caplog):
    async with s3_server() as server, open_backend("", data_dir=tmp_path / "data/server") as backend:
        config = config_of(tmp_path, "--node-name=n1", "--etcd-s3", "--etcd-s3-config-secret=s3")
        with pytest.raises(ConfigError, match="is for the running server's schedule"):
            scheduled_snapshots(config, backend)
        values = {
            flag.removeprefix("--"): value or "true"
            for flag, _, value in (flag.partition("=") for flag in s3_flags(server)[1:])
        }
        client = Objects(secrets=secret_of({**values, "etcd-s3-retention": "1"}))
        (component,) = scheduled_snapshots(config, backend, client)
        await component._make()
        await component._make()
        assert len(server.objects) == 1
        client.objects["secrets"] = secret_of({**values, "etcd-s3-retention": "many"})
        await component._make()
        client.objects["secrets"] = secret_of(values, "Opaque")
        await component._make()
    assert [record.error for record in caplog.records] == [
        "Secret kube-system/s3: etcd-s3-retention: must be a whole number",
        "Secret kube-system/s3: must be of type etcd.k3s.cattle.io/s3-config-secret",
    ]


async def test_a_flag_beside_the_secret_wins_over_it(tmp_path):
    async with s3_server() as server, open_backend("", data_dir=tmp_path / "data/server") as backend:
        config = config_of(tmp_path, "--etcd-s3-config-secret=s3", *s3_flags(server))
        (component,) = scheduled_snapshots(config, backend, Objects())
        await component._make()
        assert len(server.objects) == 1


async def test_a_secret_names_its_authorities_in_a_config_map():
    values = {"etcd-s3-bucket": "b-c", "etcd-s3-access-key": "a", "etcd-s3-secret-key": "s"}
    client = Objects(
        secrets=secret_of({**values, "etcd-s3-endpoint-ca-name": "authorities"}),
        configmaps={"data": {"a.crt": "A", "b.crt": "B"}},
    )
    settings = await read_secret(client, "s3")
    assert (settings.bucket, settings.ca_data, settings.secret_key) == ("b-c", "A\nB", "s")


async def test_a_server_that_is_told_of_a_bucket_wrongly_does_not_start(tmp_path):
    for flags in (("--etcd-s3",), ("--etcd-s3", "--etcd-disable-snapshots")):
        with pytest.raises(ConfigError, match="--etcd-s3-bucket"):
            scheduled_snapshots(config_of(tmp_path, *flags), None)


async def test_a_snapshot_in_s3_is_fetched_and_restored(tmp_path):
    database = tmp_path / "origin/state.db"
    database.parent.mkdir()
    content = await fill_store(database)
    made = await save_database(SnapshotSettings(folder=tmp_path / "s", name="n", node_name="m"), database)
    async with s3_server() as server:
        server.objects[f"f/{made.name}"] = (made.path.read_bytes(), made.created)
        flags = ("--cluster-reset", f"--cluster-reset-restore-path={made.name}")
        assert await reset_cluster(config_of(tmp_path, *flags, *s3_flags(server))) == 0
        assert await read_store(tmp_path / "data/server/db/state.db") == content
        clear_reset_flag(config_of(tmp_path))
        missing = ("--cluster-reset", "--cluster-reset-restore-path=n-m-1")
        with pytest.raises(SnapshotError, match="NoSuchKey"):
            await reset_cluster(config_of(tmp_path, *missing, *s3_flags(server)))
    assert await read_store(tmp_path / "data/server/db/state.db") == content


async def test_a_reset_without_a_snapshot_needs_members(tmp_path):
    with pytest.raises(ConfigError, match="--cluster-reset: must be given together with --cluster-reset-restore-path"):
        await reset_cluster(config_of(tmp_path, "--cluster-reset"))
    with pytest.raises(K3pyError, match="there is no member of a managed etcd"):
        await reset_cluster(config_of(tmp_path, "--cluster-reset", "--cluster-init"))
    assert not (tmp_path / "data/server/db/reset-flag").exists()


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

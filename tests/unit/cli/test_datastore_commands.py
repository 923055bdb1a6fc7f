"""`k3py etcd-snapshot` and `k3py datastore`: one line and an exit code for everybody (C-07, C-80 to C-83)."""

from __future__ import annotations

import asyncio
import json
import sqlite3

import pytest

from k3py.api.schema import load_schema
from k3py.cli.main import run
from k3py.datastore.control import serve_control
from k3py.datastore.drivers.sqlite import open_sqlite
from k3py.wire.kubernetes_protobuf import KubernetesProtobuf
from tests.support.s3_server import ACCESS_KEY, BUCKET, SECRET_KEY, s3_server_in_thread
from tests.support.stores import fill_store, make_kine_file, read_store


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    (folder / "server/db").mkdir(parents=True)
    monkeypatch.setenv("K3PY_DATA_DIR", str(folder))
    (tmp_path / "config.yaml").write_text("node-name: n1\netcd-snapshot-retention: 1\n")
    monkeypatch.setenv("K3PY_CONFIG_FILE", str(tmp_path / "config.yaml"))
    return folder


@pytest.fixture
def content(data_dir):
    return asyncio.run(fill_store(data_dir / "server/db/state.db"))


def k3py(*arguments):
    return run(["k3py", *(str(one) for one in arguments)])


def test_snapshots_are_saved_listed_pruned_and_deleted(content, data_dir, capsys):
    assert k3py("etcd-snapshot", "save") == 0
    name = capsys.readouterr().out.removeprefix("Snapshot ").removesuffix(" saved.\n")
    assert name.startswith("on-demand-n1-")
    assert k3py("etcd-snapshot", "ls") == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["Name", "Location", "Size", "Created"]
    path = data_dir / "server/db/snapshots" / name
    shown, location, size, created = line.split()
    assert (shown, location, int(size)) == (name, f"file://{path}", path.stat().st_size)
    assert created.endswith("Z")
    assert k3py("etcd-snapshot", "ls", "-o", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "ETCDSnapshotFileList"
    assert document["items"][0]["spec"] == {
        "snapshotName": name,
        "nodeName": "n1",
        "location": f"file://{path}",
    }
    assert k3py("etcd-snapshot", "save") == 0
    capsys.readouterr()
    assert k3py("etcd-snapshot", "prune") == 0  # keeps one, as the configuration says
    assert capsys.readouterr().out == f"Snapshot {name} deleted.\n"
    (left,) = (data_dir / "server/db/snapshots").glob("on-demand-*")
    assert k3py("etcd-snapshot", "delete", left.name) == 0
    assert not left.exists()


def test_snapshots_are_copied_to_s3_listed_pruned_and_deleted_there(content, data_dir, capsys, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    folder = data_dir / "server/db/snapshots"
    with s3_server_in_thread() as server:
        flags = (
            *("--s3", f"--s3-endpoint=127.0.0.1:{server.port}", "--etcd-s3-insecure"),
            *(f"--s3-bucket={BUCKET}", "--s3-retention=1"),
        )
        for _ in range(2):
            assert k3py("etcd-snapshot", "save", *flags) == 0
        names = sorted(server.objects)
        assert capsys.readouterr().out.splitlines()[1] == f"Copied to s3://{BUCKET}/{names[0]}."
        assert k3py("etcd-snapshot", "ls", "-o", "json", *flags) == 0
        items = json.loads(capsys.readouterr().out)["items"]
        assert [item["spec"]["location"] for item in items] == [
            *(f"file://{folder / name}" for name in names),
            *(f"s3://{BUCKET}/{name}" for name in names),
        ]
        assert k3py("etcd-snapshot", "prune", "--snapshot-retention=2", *flags) == 0
        assert capsys.readouterr().out == f"Snapshot {names[0]} deleted from S3.\n"
        assert k3py("etcd-snapshot", "delete", *flags, names[1]) == 0  # flags stand anywhere
        assert server.objects == {}
        assert [path.name for path in folder.glob("on-demand-*")] == [names[0]]
        server.fails = True
        assert k3py("etcd-snapshot", "save", *flags) == 1
        assert "SlowDown" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["etcd-snapshot"], 2, "required"),
        (["etcd-snapshot", "explode"], 2, "invalid choice"),
        (["etcd-snapshot", "save", "--s3"], 2, "--etcd-s3-bucket: '': must be the name of a bucket"),
        (["etcd-snapshot", "save", "--s3", "--s3-bucket=bb"], 2, "--etcd-s3-access-key: must be given"),
        (["etcd-snapshot", "save", "--s3", "--s3-config-secret=x"], 2, "is for the running server's schedule"),
        (["etcd-snapshot", "save", "--etcd-server=https://x"], 2, "--etcd-server: is not needed"),
        (["etcd-snapshot", "save", "--name=a/b"], 2, "must be a part of a file name"),
        (["etcd-snapshot", "save"], 1, "there is no database"),
        (["etcd-snapshot", "delete"], 2, "at least one"),
        (["etcd-snapshot", "delete", "a-1700000000"], 1, "no snapshot"),
        (["etcd-snapshot", "prune", "--snapshot-retention=x"], 2, "must be a whole number"),
        (["datastore", "status"], 1, "there is no database"),
        (["datastore", "export"], 2, "needs 1 operands"),
        (["datastore", "compact", "x"], 2, "must be a revision"),
        (["datastore", "compact", "1", "2"], 2, "needs 0 or 1 operands"),
        (["datastore", "import", "/nonexistent/file"], 1, "/nonexistent/file: No such file"),
        (["datastore", "copy", "memory://", "memory://"], 2, "the same store"),
        (["datastore", "copy", "nats://a:hunter2@b", "memory://"], 2, "must be sqlite"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_an_exit_code(data_dir, capsys, arguments, code, message):
    assert k3py(*arguments) == code
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
    assert "hunter2" not in shown
    assert not (data_dir / "server/db/state.db").exists()


def test_a_store_is_exported_and_imported(content, data_dir, tmp_path, capsys):
    assert k3py("datastore", "export", tmp_path / "dump") == 0
    told = capsys.readouterr().err
    assert "20 keys, sha256 " in told
    assert (tmp_path / "dump").stat().st_mode & 0o777 == 0o600
    assert k3py("datastore", "export", tmp_path / "dump") == 1  # exists
    target = f"sqlite://{tmp_path}/b.db"
    assert k3py("datastore", "import", tmp_path / "dump", "--datastore-endpoint", target) == 0
    assert told.split("sha256 ")[1].split(",")[0] in capsys.readouterr().err
    assert asyncio.run(read_store(tmp_path / "b.db")) == content
    assert k3py("datastore", "import", tmp_path / "dump", "--datastore-endpoint", target) == 1
    assert "b.db is not empty" in capsys.readouterr().err
    assert k3py("datastore", "copy", target, f"sqlite://{tmp_path}/c.db") == 0
    assert asyncio.run(read_store(tmp_path / "c.db")) == content


@pytest.mark.parametrize("how", ["import", "copy"])
def test_a_file_of_kine_is_taken_over(data_dir, tmp_path, how, capsys):
    content = make_kine_file(tmp_path / "kine.db")
    if how == "import":
        assert k3py("datastore", "import", tmp_path / "kine.db") == 0
    else:
        target = f"sqlite://{data_dir}/server/db/state.db"
        assert k3py("datastore", "copy", f"sqlite://{tmp_path}/kine.db", target) == 0
    assert asyncio.run(read_store(data_dir / "server/db/state.db")) == content
    assert "3 keys" in capsys.readouterr().err


def test_protobuf_of_a_kube_apiserver_becomes_json_that_the_api_reads(data_dir, tmp_path, capsys):
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "n", "uid": "u"},
        "data": {"k": "v"},
    }
    packed = KubernetesProtobuf(load_schema().table).encode_object(config_map)
    unknown = b"k8s\0\x0a\x0b\x0a\x02v9\x12\x05Thing\x12\x00"
    make_kine_file(tmp_path / "kine.db")
    connection = sqlite3.connect(tmp_path / "kine.db")
    for name, value in (("/registry/configmaps/n/a", packed), ("/registry/things/t", unknown)):
        connection.execute(
            "INSERT INTO kine (name, created, deleted, create_revision, prev_revision, lease, value) VALUES (?, 1, 0, 0, 0, 0, ?)",
            (name, value),
        )
    connection.commit()
    connection.close()
    assert k3py("datastore", "import", "--to-json", tmp_path / "kine.db") == 0  # flags stand anywhere
    assert "turned 1 objects into JSON, kept 1 of unknown kinds" in capsys.readouterr().err
    found = asyncio.run(read_store(data_dir / "server/db/state.db"))
    assert json.loads(found[b"/registry/configmaps/n/a"]) == config_map
    assert found[b"/registry/things/t"] == unknown


@pytest.mark.parametrize("arguments", [["status"], ["export", "f"], ["copy", "https://127.0.0.1:1", "memory://"]])
def test_the_files_for_tls_to_the_datastore_are_the_servers(data_dir, monkeypatch, capsys, arguments):
    monkeypatch.setenv("K3PY_DATASTORE_ENDPOINT", "https://127.0.0.1:1")
    monkeypatch.setenv("K3PY_DATASTORE_CAFILE", str(data_dir / "absent.crt"))
    assert k3py("datastore", *arguments) == 2
    assert f"datastore-cafile: cannot use {data_dir / 'absent.crt'}" in capsys.readouterr().err


def test_a_store_is_compacted_and_defragmented(content, data_dir, capsys):
    assert k3py("datastore", "compact") == 0
    line = capsys.readouterr().out
    revision = line.partition("revision ")[2].partition(",")[0]
    assert f"compacted to {revision}," in line
    assert k3py("datastore", "defrag") == 0
    assert " bytes before" in capsys.readouterr().out


async def test_a_running_store_is_reached_through_its_socket(content, data_dir, capsys):
    path = data_dir / "server/db/state.db"
    async with open_sqlite(path, history_s=None) as backend:
        assert await asyncio.to_thread(k3py, "datastore", "status") == 1
        assert "is in use by process" in capsys.readouterr().err
        async with serve_control(backend, path):
            assert await asyncio.to_thread(k3py, "datastore", "compact") == 0
            assert f"compacted to {backend.current_revision}," in capsys.readouterr().out
            assert await asyncio.to_thread(k3py, "datastore", "check") == 0
            assert "sha256" in capsys.readouterr().err

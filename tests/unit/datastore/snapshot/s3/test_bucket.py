"""Snapshots go to a bucket and come back, and what S3 refuses is told."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from k3py.datastore.snapshot.errors import SnapshotError
from k3py.datastore.snapshot.folder import Snapshot
from k3py.datastore.snapshot.s3 import bucket as bucket_module
from k3py.datastore.snapshot.s3.bucket import open_bucket
from tests.support.s3_server import s3_server


@pytest.fixture
async def server():
    async with s3_server() as running:
        yield running


def snapshot(folder, name, content=b"content"):
    path = folder / name
    path.write_bytes(content)
    return Snapshot(name, path, len(content), datetime.now(UTC))


async def test_a_snapshot_goes_there_and_comes_back(server, tmp_path):
    content = bytes(range(256)) * 10_000
    async with open_bucket(server.settings(folder="a b/c")) as bucket:
        stored = await bucket.upload(snapshot(tmp_path, "n-m-1700000000.gz", content))
        assert stored.location == "s3://snapshots/a b/c/n-m-1700000000.gz"
        assert server.objects["a b/c/n-m-1700000000.gz"][0] == content
        await bucket.download("n-m-1700000000.gz", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == content
        assert (tmp_path / "back").stat().st_mode & 0o777 == 0o600
        await bucket.delete("n-m-1700000000.gz")
        assert server.objects == {}


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(bucket_module, "WHOLE_BYTES", 1_000)
    monkeypatch.setattr(bucket_module, "PART_BYTES", 700)


@pytest.mark.usefixtures("small_parts")
async def test_a_large_snapshot_goes_in_parts(server, tmp_path):
    content = bytes(range(250)) * 10
    async with open_bucket(server.settings()) as bucket:
        await bucket.upload(snapshot(tmp_path, "n-m-1700000000.gz", content))
    assert server.objects["n-m-1700000000.gz"][0] == content
    assert server.uploads == {}


@pytest.mark.usefixtures("small_parts")
async def test_parts_that_cannot_be_put_together_are_removed(server, tmp_path):
    server.breaks = True
    async with open_bucket(server.settings()) as bucket:
        with pytest.raises(SnapshotError, match="InternalError: try again"):
            await bucket.upload(snapshot(tmp_path, "n-m-1700000000.gz", bytes(2_500)))
    assert server.objects == server.uploads == {}


async def test_the_list_is_read_in_pages_and_knows_only_snapshots(server, tmp_path):
    async with open_bucket(server.settings(folder="f")) as bucket:
        for number in range(5):
            await bucket.upload(snapshot(tmp_path, f"n-m-170000000{number}"))
        server.objects["f/readme.txt"] = server.objects["f/n-m-1700000000"]
        server.objects["other/n-m-1700000009"] = server.objects["f/n-m-1700000000"]
        found = await bucket.snapshots()
        assert sorted(one.name for one in found) == [f"n-m-170000000{number}" for number in range(5)]
        assert {one.size_bytes for one in found} == {7}


async def test_pruning_keeps_the_newest_of_one_kind_and_node(server, tmp_path):
    async with open_bucket(server.settings()) as bucket:
        for name in ("n-m-1700000001", "n-m-1700000003.gz", "n-m-1700000002", "n-other-1700000000"):
            await bucket.upload(snapshot(tmp_path, name))
        assert await bucket.prune("n-m", 1) == ["n-m-1700000001", "n-m-1700000002"]
        assert sorted(server.objects) == ["n-m-1700000003.gz", "n-other-1700000000"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"secret_key": "wrong"}, "403 SignatureDoesNotMatch"),
        ({"bucket": "missing"}, "404 NoSuchBucket: The specified bucket does not exist"),
        ({"insecure": False}, "SSL"),
        ({"endpoint": "127.0.0.1:1"}, "127.0.0.1:1"),
    ],
)
async def test_what_s3_refuses_is_told_with_the_bucket_and_without_secrets(server, settings, told):
    async with open_bucket(server.settings(**settings)) as bucket:
        with pytest.raises(SnapshotError, match="S3 bucket '") as caught:
            await bucket.snapshots()
    assert told in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_missing_snapshot_leaves_no_file(server, tmp_path):
    async with open_bucket(server.settings()) as bucket:
        with pytest.raises(SnapshotError, match="NoSuchKey"):
            await bucket.download("n-m-1700000000", tmp_path / "back")
    assert not (tmp_path / "back").exists()


async def test_only_snapshots_can_be_deleted(server):
    async with open_bucket(server.settings()) as bucket:
        with pytest.raises(SnapshotError, match="no name of a snapshot"):
            await bucket.delete("../state.db")


async def test_a_file_of_authorities_that_is_none_is_named(server, tmp_path):
    (tmp_path / "ca.crt").write_text("nothing")
    with pytest.raises(SnapshotError, match=r"--etcd-s3-endpoint-ca: cannot use .*ca\.crt"):
        async with open_bucket(server.settings(ca_file=tmp_path / "ca.crt")):
            pass

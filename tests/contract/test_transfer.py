"""A whole store moves from each driver to each other one and back, with all keys and values [279]."""

from __future__ import annotations

import pytest

from k3py.datastore.errors import Incomplete
from k3py.datastore.etcdapi.revision_offset import KEY as OFFSET_KEY
from k3py.datastore.factory import open_backend
from k3py.datastore.snapshot.restoring import restore_backend
from k3py.datastore.snapshot.saving import SnapshotSettings, save_backend
from k3py.datastore.transfer.errors import NotEmpty
from k3py.datastore.transfer.loading import MARGIN, digest_of, load
from k3py.datastore.transfer.source import read_backend
from tests.support.databases import fresh_endpoint, is_installed
from tests.support.etcd import etcd_program, real_etcd, wait_until_healthy
from tests.support.stores import fill_store


@pytest.fixture(params=["memory", "sqlite", "postgres", "mysql", "etcd"])
def endpoint(request, tmp_path):
    """An empty store of each driver."""
    if request.param in ("postgres", "mysql"):
        if not is_installed(request.param):
            pytest.skip(f"{request.param} is not installed")
        yield fresh_endpoint(request.param)
    elif request.param == "etcd":
        if etcd_program() is None:
            pytest.skip("etcd is not installed")
        with real_etcd() as url:
            wait_until_healthy(url)
            yield url
    else:
        yield {"memory": "memory://", "sqlite": f"sqlite://{tmp_path}/target.db"}[request.param]


@pytest.mark.slow
async def test_there_and_back(tmp_path, endpoint):
    content = await fill_store(tmp_path / "a.db", 300)
    async with open_backend(f"sqlite://{tmp_path}/a.db") as origin:
        lease = await origin.grant_lease(1000)
        await origin.create(b"/leased", b"\0\xff", lease=lease)
        seen = origin.current_revision
        async with open_backend(endpoint, incomplete=True) as target:
            digest = await load(await read_backend(origin), target, name="target")
            assert digest.count == len(content) + 1
            kvs = [kv for kv in (await target.range(b"\0", b"\0")).kvs if kv.key != OFFSET_KEY]
            assert {kv.key: kv.value for kv in kvs} == {**content, b"/leased": b"\0\xff"}
            assert min(kv.mod_revision for kv in kvs) > seen + MARGIN
            with pytest.raises(
                NotEmpty, match=r"target is not empty: it holds 30[12] keys, the first is '/leased'"
            ):
                await load(await read_backend(origin), target, name="target")
            async with open_backend(f"sqlite://{tmp_path}/back.db") as back:
                assert await load(await read_backend(target), back, name="back") == digest
                assert await digest_of(back) == digest
                (leased,) = (await back.range(b"/leased")).kvs
                assert leased.lease != 0


@pytest.mark.slow
async def test_snapshots_of_every_driver(tmp_path, endpoint):
    settings = SnapshotSettings(folder=tmp_path / "s", name="n", node_name="m")
    async with open_backend(endpoint) as backend:
        for number in range(10):
            await backend.create(b"/%d" % number, b"value")
        digest = await digest_of(backend)
        made = await save_backend(settings, backend)
        await backend.create(b"/later", b"")
    async with open_backend(f"sqlite://{tmp_path}/b.db") as target:
        restored = await restore_backend(made.path, target, name="b", work=tmp_path)
        assert (restored.count, restored.hash) == (10, digest.hex)


@pytest.mark.slow
async def test_an_unfinished_import_keeps_servers_out_of_every_durable_driver(endpoint):
    if endpoint == "memory://":
        return

    class Failing:
        info = type("Info", (), {"revision": 1, "leases": {}})()

        async def pages(self):
            raise RuntimeError("the source ends")
            yield

    async with open_backend(endpoint, incomplete=True) as target:
        with pytest.raises(RuntimeError):
            await load(Failing(), target, name="target")
    with pytest.raises(Incomplete, match="did not finish: repeat it with --force"):
        async with open_backend(endpoint):
            pass

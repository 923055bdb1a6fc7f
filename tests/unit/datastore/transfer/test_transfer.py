"""Whole stores move between files and drivers, checked by count and hash; what is interrupted stays marked [279]."""

from __future__ import annotations

import io

import pytest

from k3py.datastore.errors import Incomplete, NoSpace
from k3py.datastore.factory import INCOMPLETE_KEY, open_backend
from k3py.datastore.interface import KeyValue, Revision
from k3py.datastore.transfer import source as source_module
from k3py.datastore.transfer.dump_file import DumpFile, write_dump
from k3py.datastore.transfer.errors import NotEmpty, TransferError
from k3py.datastore.transfer.kine_file import KineFile, is_kine_file, open_read_only
from k3py.datastore.transfer.loading import MARGIN, digest_of, load
from k3py.datastore.transfer.source import SourceInfo, read_backend
from tests.support.stores import fill_store, make_kine_file

ALL = (b"\0", b"\0")


async def content_of(backend):
    return {kv.key: kv.value for kv in (await backend.range(*ALL)).kvs}


async def dump_of(path):
    file = io.BytesIO()
    async with open_backend(f"sqlite://{path}") as backend:
        digest = await write_dump(await read_backend(backend), file)
    return file.getvalue(), digest


async def test_a_dump_holds_everything_and_fills_any_store(tmp_path):
    content = await fill_store(tmp_path / "a.db", 300)
    data, digest = await dump_of(tmp_path / "a.db")
    async with open_backend("memory://") as target:
        loaded = await load(DumpFile(io.BytesIO(data), "dump"), target, name="target")
        assert await content_of(target) == content
        assert loaded == digest == await digest_of(target)
        assert loaded.count == 300


async def test_revisions_go_on_far_above_the_source(tmp_path):
    await fill_store(tmp_path / "a.db")
    async with open_backend(f"sqlite://{tmp_path}/a.db") as source:
        seen = source.current_revision
        async with open_backend(f"sqlite://{tmp_path}/b.db") as target:
            await load(await read_backend(source), target, name="b")
            kvs = (await target.range(*ALL)).kvs
            assert min(kv.mod_revision for kv in kvs) > seen + MARGIN
            assert len({kv.mod_revision for kv in kvs}) == len(kvs)


async def test_a_source_is_read_at_one_revision(monkeypatch):
    monkeypatch.setattr(source_module, "FIRST_KEYS", 2)
    async with open_backend("memory://") as backend:
        for number in range(9):
            await backend.create(b"/%d" % number, b"old")
        source = await read_backend(backend)
        found = {}
        async for page in source.pages():
            found |= {kv.key: kv.value for kv in page}
            (last,) = (await backend.range(b"/8")).kvs
            await backend.update(b"/8", b"new", expected=last.mod_revision)
    assert found == {b"/%d" % number: b"old" for number in range(9)}


async def test_pages_shrink_with_large_values(monkeypatch):
    monkeypatch.setattr(source_module, "PAGE_BYTES", 10_000)
    async with open_backend("memory://") as backend:
        for number in range(300):
            await backend.create(b"/%03d" % number, b"x" * 1000)
        sizes = [len(page) async for page in (await read_backend(backend)).pages()]
    assert sum(sizes) == 300
    assert max(sizes[1:]) <= 10


@pytest.mark.parametrize("cut", [20, 200, -1, -40])
async def test_a_cut_dump_is_refused_and_the_target_stays_marked(tmp_path, cut):
    await fill_store(tmp_path / "a.db")
    data, _ = await dump_of(tmp_path / "a.db")
    async with open_backend("memory://") as target:
        with pytest.raises(TransferError, match="dump cannot be used"):
            await load(DumpFile(io.BytesIO(data[:cut]), "dump"), target, name="target")
        if cut != 20:
            assert (await target.range(INCOMPLETE_KEY)).count == 1


async def test_a_target_that_is_not_empty_is_named_and_left_alone(tmp_path):
    await fill_store(tmp_path / "a.db")
    data, _ = await dump_of(tmp_path / "a.db")
    for again in (False, True):
        async with open_backend("memory://") as target:
            await target.create(b"/mine", b"1")
            with pytest.raises(
                NotEmpty, match="postgres://host/db is not empty: it holds 1 keys, the first is '/mine'"
            ):
                await load(DumpFile(io.BytesIO(data), "d"), target, name="postgres://host/db", again=again)
            assert await content_of(target) == {b"/mine": b"1"}


class FailingSource:
    info = SourceInfo("test", 5)

    async def pages(self):
        yield [KeyValue(b"/%d" % number, b"x", Revision(1), Revision(1), 1) for number in range(200)]
        raise NoSpace("the source ends")


async def test_an_interrupted_import_is_refused_by_servers_and_repeated_with_force(tmp_path):
    endpoint = f"sqlite://{tmp_path}/b.db"
    async with open_backend(endpoint) as target:
        with pytest.raises(NoSpace):
            await load(FailingSource(), target, name="b")
    with pytest.raises(Incomplete, match=r"b\.db did not finish: repeat it with --force"):
        async with open_backend(endpoint):
            pass
    content = await fill_store(tmp_path / "a.db")
    data, _ = await dump_of(tmp_path / "a.db")
    async with open_backend(endpoint, incomplete=True) as target:
        with pytest.raises(NotEmpty, match="did not finish; --force removes them"):
            await load(DumpFile(io.BytesIO(data), "dump"), target, name="b")
        await load(DumpFile(io.BytesIO(data), "dump"), target, name="b", again=True)
    async with open_backend(endpoint) as target:
        assert await content_of(target) == content


async def test_what_somebody_else_writes_meanwhile_is_found():
    class Disturbed(FailingSource):
        async def pages(self):
            yield [KeyValue(b"/a", b"x", Revision(1), Revision(1), 1)]
            await target.create(b"/b", b"y")

    async with open_backend("memory://") as target:
        with pytest.raises(TransferError, match="somebody else writes to it"):
            await load(Disturbed(), target, name="target")


async def test_leases_come_along():
    async with open_backend("memory://") as source, open_backend("memory://") as target:
        lease = await source.grant_lease(1000)
        for key in (b"/a", b"/b"):
            await source.create(key, b"", lease=lease)
        await source.create(b"/c", b"")
        await load(await read_backend(source), target, name="target")
        a, b, c = (await target.range(*ALL)).kvs
        assert a.lease == b.lease != 0
        assert c.lease == 0
        await target.revoke_lease(a.lease)
        assert list(await content_of(target)) == [b"/c"]


async def test_a_file_of_kine_is_read_as_it_stands(tmp_path):
    content = make_kine_file(tmp_path / "kine.db")
    assert is_kine_file(tmp_path / "kine.db")
    async with open_backend("memory://") as target:
        with open_read_only(tmp_path / "kine.db") as connection:
            source = KineFile(connection, tmp_path / "kine.db")
            assert source.info == SourceInfo("kine", 9, {3600: 3600})
            await load(source, target, name="target")
        assert await content_of(target) == content
        (event,) = (await target.range(b"/registry/events/e")).kvs
        assert event.lease != 0
        assert event.mod_revision > 9 + MARGIN


async def test_a_file_without_the_table_is_not_one_of_kine(tmp_path):
    await fill_store(tmp_path / "a.db")
    assert not is_kine_file(tmp_path / "a.db")
    (tmp_path / "text").write_bytes(b"hello" * 1000)
    with pytest.raises(TransferError, match="cannot be read"):
        is_kine_file(tmp_path / "text")


def test_credentials_are_never_part_of_a_name():
    from k3py.datastore.factory import name_of

    assert name_of("postgres://me:secret@host:5/db?password=secret") == "postgres://host:5/db"
    assert name_of("mysql://me:se@cret@tcp(host)/db") == "mysql://tcp(host)/db"

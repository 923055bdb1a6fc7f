"""Damage to a cleanly closed database is found when it is opened, and the message names the file and a way out."""

from __future__ import annotations

import os

import pytest

from k3py.datastore.errors import Corrupt
from k3py.datastore.factory import open_backend
from k3py.datastore.sql.sqlite import seal
from tests.support.stores import fill_store, read_store


def flip_value(path, *, keep_time):
    stat = path.stat()
    data = bytearray(path.read_bytes())
    data[data.index(b"value 7 value 7") + 3] ^= 1  # a value: SQLite itself cannot tell
    path.write_bytes(data)
    if keep_time:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


async def test_a_flipped_bit_is_found_again_and_again(tmp_path):
    path = tmp_path / "state.db"
    await fill_store(path)
    flip_value(path, keep_time=True)
    for _ in range(2):
        with pytest.raises(Corrupt, match=r"state\.db is damaged .*--cluster-reset-restore-path=FILE"):
            await read_store(path)


async def test_a_file_that_was_written_on_purpose_is_left_to_sqlite(tmp_path):
    path = tmp_path / "state.db"
    content = await fill_store(path)
    flip_value(path, keep_time=False)
    assert len(await read_store(path)) == len(content)


async def test_an_open_database_has_no_seal_and_a_closed_one_does(tmp_path):
    path = tmp_path / "state.db"
    async with open_backend(f"sqlite://{path}") as backend:
        await backend.create(b"/a", b"1")
        assert not (tmp_path / "state.db.sum").exists()
    assert (tmp_path / "state.db.sum").exists()
    assert await read_store(path) == {b"/a": b"1"}


async def test_a_large_database_is_not_sealed(tmp_path, monkeypatch):
    monkeypatch.setattr(seal, "SEALED_BYTES", 1000)
    await fill_store(tmp_path / "state.db")
    assert not (tmp_path / "state.db.sum").exists()


async def test_a_damaged_seal_keeps_nobody_out(tmp_path):
    content = await fill_store(tmp_path / "state.db")
    (tmp_path / "state.db.sum").write_bytes(b"\xff\xff")
    assert await read_store(tmp_path / "state.db") == content

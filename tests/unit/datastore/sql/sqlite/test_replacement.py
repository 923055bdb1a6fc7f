"""A database is replaced as a whole, wherever the move is interrupted."""

from __future__ import annotations

import pytest

from k3py.datastore.factory import open_backend
from k3py.datastore.sql.sqlite.replacement import finish_replacement, new_file
from tests.support.stores import fill_store, read_store


@pytest.mark.parametrize("moved", ["nothing", "database", "all"])
async def test_opening_finishes_an_interrupted_move(tmp_path, moved):
    database = tmp_path / "state.db"
    old = await fill_store(database, 5)
    database.with_name("state.db-wal").write_bytes(b"")
    new = await fill_store(tmp_path / "other.db", 7)
    (tmp_path / "other.db").rename(new_file(database))
    stamp_ms = new_file(database).stat().st_mtime_ns // 1_000_000
    kept = tmp_path / f"state.db-old-{stamp_ms}"
    if moved != "nothing":
        kept.mkdir()
        database.rename(kept / "state.db")
    if moved == "all":
        database.with_name("state.db-wal").rename(kept / "state.db-wal")
    async with open_backend(f"sqlite://{database}") as backend:
        assert (await backend.range(b"\0", b"\0")).count == len(new)
    assert await read_store(kept / "state.db") == old
    assert not new_file(database).exists()


def test_nothing_to_replace(tmp_path):
    assert finish_replacement(tmp_path / "state.db") is None

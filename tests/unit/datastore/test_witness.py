"""What a server has seen of a store survives it, and a store that was set back is noticed (253)."""

from __future__ import annotations

import logging

import pytest

from k3py.datastore.factory import open_backend
from k3py.datastore.witness import GAP, Witness


@pytest.fixture
async def backend():
    async with open_backend("memory://") as backend:
        yield backend


async def test_a_store_that_was_set_back_continues_behind_a_gap(backend, tmp_path, caplog):
    await backend.create(b"/a", b"")
    witness = Witness(tmp_path / "new" / "known", "postgres://db/kubernetes")
    await witness.check(backend)
    assert backend.current_revision == 2
    await witness.note(50)
    await Witness(tmp_path / "new" / "known", "postgres://db/kubernetes").check(backend)
    assert backend.current_revision == 50 + GAP
    assert "set back" in caplog.text
    await Witness(tmp_path / "new" / "known", "postgres://db/kubernetes").check(backend)
    assert backend.current_revision == 50 + GAP


async def test_another_store_and_a_damaged_file_say_nothing(backend, tmp_path):
    await Witness(tmp_path / "known", "postgres://db/one").note(50)
    await Witness(tmp_path / "known", "postgres://db/two").check(backend)
    (tmp_path / "known").write_text('{"revision": "x"')
    await Witness(tmp_path / "known", "postgres://db/two").check(backend)
    assert backend.current_revision == 1


async def test_an_etcd_is_only_complained_about(tmp_path, caplog):
    class Etcd:
        current_revision = 7

        async def latest_revision(self):
            return 7

    await Witness(tmp_path / "known", "http://etcd").note(50)
    await Witness(tmp_path / "known", "http://etcd").check(Etcd())
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_a_folder_that_cannot_be_written_is_only_logged(backend, tmp_path, caplog):
    (tmp_path / "file").touch()
    await Witness(tmp_path / "file" / "known", "http://etcd").check(backend)
    assert "cannot note" in caplog.text

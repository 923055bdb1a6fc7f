"""A database that was put back, moved, or cut off from its last writes continues behind a gap; any other does not (253)."""

from __future__ import annotations

import os
import shutil

import pytest

from k3py.datastore.drivers.sqlite import open_sqlite
from k3py.datastore.durability import Durability
from k3py.datastore.sql.sqlite import run_mark

RESTORED = 1_000_000_000
TAIL = 1_000_000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "db" / "state.db"


async def write(path, key, durability=Durability.DURABLE):
    """Open, write, close; return the revision of the write."""
    async with open_sqlite(path, history_s=None, durability=durability) as backend:
        return await backend.create(key, b"")


async def killed_copy(path, target, durability):
    """Leave in `target`'s folder what a killed writer leaves of its database."""
    async with open_sqlite(path, history_s=None, durability=durability) as backend:
        await backend.create(b"/last", b"")
        shutil.copytree(path.parent, target.parent)
    # The copy stands for the original: it has the inode that the mark names.
    mark = run_mark.observe(target).mark
    run_mark.RunMark(mark.run, mark.before, mark.boot, mark.durability, target.stat().st_ino).write(target)


@pytest.mark.parametrize("durability", Durability)
async def test_revisions_go_on_without_a_gap_after_a_stop(path, durability):
    assert await write(path, b"/a", durability) == 2
    assert await write(path, b"/b", durability) == 3


@pytest.mark.parametrize("durability", Durability)
async def test_revisions_go_on_without_a_gap_after_a_kill(path, tmp_path, durability):
    target = tmp_path / "killed" / "state.db"
    await killed_copy(path, target, durability)
    assert await write(target, b"/b", durability) == 3


@pytest.mark.parametrize(
    ("durability", "expected"),
    [(Durability.DURABLE, 3), (Durability.BALANCED, TAIL + 3), (Durability.FLASH, TAIL + 3)],
)
async def test_a_boot_after_an_unclean_stop_leaves_a_gap_when_writes_may_be_missing(
    path, tmp_path, durability, expected, monkeypatch
):
    target = tmp_path / "cut" / "state.db"
    await killed_copy(path, target, durability)
    (tmp_path / "boot").write_text("another")
    monkeypatch.setattr(run_mark, "BOOT_ID", tmp_path / "boot")
    assert await write(target, b"/b", durability) == expected
    assert await write(target, b"/c", durability) == expected + 1


@pytest.mark.parametrize("keeps_inode", [False, True])
async def test_an_earlier_file_that_was_copied_back_leaves_a_gap(path, tmp_path, keeps_inode):
    await write(path, b"/a")
    shutil.copy2(path, tmp_path / "copy")
    assert await write(path, b"/lost") == 3
    if keeps_inode:
        shutil.copyfile(tmp_path / "copy", path)
    else:
        os.replace(tmp_path / "copy", path)
    assert await write(path, b"/b") == RESTORED + 3


async def test_a_whole_folder_that_was_copied_back_leaves_a_gap(path, tmp_path):
    await write(path, b"/a")
    shutil.copytree(path.parent, tmp_path / "copy")
    await write(path, b"/lost")
    shutil.rmtree(path.parent)
    shutil.copytree(tmp_path / "copy", path.parent)
    assert await write(path, b"/b") == RESTORED + 3


async def test_a_copied_folder_of_a_running_store_leaves_a_gap(path, tmp_path):
    async with open_sqlite(path, history_s=None) as backend:
        await backend.create(b"/a", b"")
        shutil.copytree(path.parent, tmp_path / "copy")
        await backend.create(b"/lost", b"")
    assert await write(tmp_path / "copy" / "state.db", b"/b") == RESTORED + 3


async def test_a_database_without_its_mark_leaves_a_gap(path, tmp_path):
    await write(path, b"/a")
    (tmp_path / "new").mkdir()
    shutil.copy2(path, tmp_path / "new" / "state.db")
    assert await write(tmp_path / "new" / "state.db", b"/b") == RESTORED + 3


async def test_a_moved_folder_leaves_no_gap(path, tmp_path):
    await write(path, b"/a")
    path.parent.rename(tmp_path / "moved")
    assert await write(tmp_path / "moved" / "state.db", b"/b") == 3


async def test_a_damaged_mark_counts_as_none(path):
    await write(path, b"/a")
    path.with_name("state.db.run").write_text("{")
    assert await write(path, b"/b") == RESTORED + 3


async def test_a_kill_while_the_run_begins_leaves_no_gap(path):
    await write(path, b"/a")
    observed = run_mark.observe(path)
    run_mark.begin_run(path, 7, observed.mark.run, Durability.FLASH)  # and the number did not get into the database
    assert await write(path, b"/b") == 3

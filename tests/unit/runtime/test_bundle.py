"""Which unpacked trees of earlier versions go."""

import os

import pytest

from k3py.runtime.bundle import remove_unused_trees, tree_cleaning
from k3py.util import clock

HOUR_S = 3600


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"

    def tree(name, age_s=2 * HOUR_S):
        (folder / name / "bin").mkdir(parents=True)
        (folder / name / ".complete").touch()
        (folder / name / "bin/containerd-shim").touch()
        os.utime(folder / name, (clock.wall_s() - age_s,) * 2)
        return folder / name

    return folder, tree


def process(proc, pid, program):
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "exe").symlink_to(program)


def test_trees_from_which_nothing_runs_go_and_the_others_stay(tmp_path, data):
    folder, tree = data
    own, used, unused, young = tree("aa"), tree("bb"), tree("cc"), tree("dd", age_s=60)
    (folder / ".new-12").mkdir()
    process(tmp_path / "proc", 1, "/usr/lib/systemd/systemd")
    process(tmp_path / "proc", 7, used / "bin/containerd-shim")
    (tmp_path / "proc/8").mkdir()  # one of the kernel's own has no program
    assert remove_unused_trees(folder, own, proc=tmp_path / "proc") == [unused]
    assert sorted(path.name for path in folder.iterdir()) == [".new-12", "aa", "bb", "dd"]
    assert young.exists()


def test_a_tree_that_cannot_be_removed_is_left_and_does_not_look_whole(tmp_path, data, monkeypatch):
    folder, tree = data
    own, unused = tree("aa"), tree("cc")

    def refuse(path):
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr("k3py.runtime.bundle.shutil.rmtree", refuse)
    assert remove_unused_trees(folder, own, proc=tmp_path / "proc") == []
    assert not (unused / ".complete").exists()
    assert (own / ".complete").exists()


def test_the_machines_own_programs_are_nobodys_tree(tmp_path, monkeypatch):
    monkeypatch.delenv("K3PY_BUNDLE", raising=False)
    assert tree_cleaning(tmp_path) == []
    monkeypatch.setenv("K3PY_BUNDLE", str(tmp_path / "data/aa"))
    assert [one.name for one in tree_cleaning(tmp_path)] == ["old-programs"]

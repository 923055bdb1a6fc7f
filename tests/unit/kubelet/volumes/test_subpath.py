"""subPath never leads out of its volume."""

from __future__ import annotations

import pytest

from k3py.kubelet.volumes.interface import VolumeError
from k3py.kubelet.volumes.subpath import bind_subpath
from tests.support.kubelet import NoMounter


def bind(tmp_path, sub_path, **options):
    (tmp_path / "v").mkdir(exist_ok=True)
    return bind_subpath(
        NoMounter(), tmp_path / "v", sub_path, tmp_path / "t" / "0", **{"read_only": False, **options}
    )


def test_missing_folders_are_made(tmp_path):
    assert bind(tmp_path, "a/b").is_dir()
    assert (tmp_path / "v/a/b").is_dir()


def test_files_stay_files(tmp_path):
    (tmp_path / "v").mkdir()
    (tmp_path / "v/f").write_text("x")
    assert bind(tmp_path, "f").is_file()


def test_links_within_are_followed(tmp_path):
    (tmp_path / "v/..1").mkdir(parents=True)
    (tmp_path / "v/..1/f").write_text("x")
    (tmp_path / "v/..data").symlink_to("..1")
    (tmp_path / "v/f").symlink_to("..data/f")
    assert bind(tmp_path, "f").is_file()


@pytest.mark.parametrize("sub_path", ["../x", "/etc", "a/../../x", "out"])
def test_ways_out_are_refused(tmp_path, sub_path):
    (tmp_path / "v").mkdir()
    (tmp_path / "v/out").symlink_to("/etc")
    with pytest.raises(VolumeError):
        bind(tmp_path, sub_path)


def test_a_read_only_mount_makes_nothing(tmp_path):
    with pytest.raises(VolumeError):
        bind(tmp_path, "missing", read_only=True)

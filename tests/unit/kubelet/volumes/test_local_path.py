"""Folders of the local-path provisioner: which are touched, and which never."""

import os

import pytest

from k3py.kubelet.volumes.local_path import LocalPathError, make_folder, remove_folder

NAME = "pvc-11111111-2222-3333-4444-555555555555_default_data"


def test_a_folder_comes_with_open_doors_in_a_closed_one_and_goes_with_what_is_in_it(tmp_path):
    folder = tmp_path / "storage" / NAME
    make_folder(str(folder))
    make_folder(str(folder))
    assert folder.stat().st_mode & 0o777 == 0o777
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    outside = tmp_path / "outside"
    outside.write_text("stays")
    (folder / "sub").mkdir()
    (folder / "sub/link").symlink_to(outside)
    remove_folder(str(folder))
    remove_folder(str(folder))
    assert not folder.exists()
    assert outside.exists()


@pytest.mark.parametrize("path", ["relative/{n}", "/{n}", "/a/../b/{n}", "/etc", "/a/b/pvc-1_a_b", "/a//{n}", "/a/{n}/"])
def test_other_folders_are_not_touched(path):
    for act in (make_folder, remove_folder):
        with pytest.raises(LocalPathError, match=r"must be|is not named"):
            act(path.format(n=NAME))


def test_a_link_is_no_volume(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    os.symlink(elsewhere, tmp_path / NAME)
    for act in (make_folder, remove_folder):
        with pytest.raises(LocalPathError):
            act(str(tmp_path / NAME))
    assert elsewhere.exists()

"""Atomic files: all of the old or all of the new, with the mode asked for."""

import os
import stat

import pytest

from k3py.util.files import write_atomically


def test_content_and_mode_are_replaced_and_nothing_is_left_over(tmp_path):
    target = tmp_path / "f"
    target.write_text("old")
    target.chmod(0o666)
    write_atomically(target, b"new", mode=0o600)
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["f"]


def test_a_failure_leaves_the_old_content_and_no_temporary_file(tmp_path, monkeypatch):
    target = tmp_path / "f"
    target.write_text("old")

    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(target, b"new")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["f"]

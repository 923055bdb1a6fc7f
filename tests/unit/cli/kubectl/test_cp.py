"""Unpacking what a container sends: where files land, and that nothing lands elsewhere."""

import io
import tarfile
from pathlib import PurePosixPath

import pytest

from k3py.cli.kubectl.cp import unpack
from k3py.errors import K3pyError


def archive(*members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size, info.mode = len(content), 0o640
                tar.addfile(info, io.BytesIO(content))
    buffer.seek(0)
    return buffer


def test_a_file_becomes_the_target_or_lies_in_it(tmp_path):
    unpack(archive(("etc/x", b"one")), PurePosixPath("/etc/x"), tmp_path / "new")
    assert (tmp_path / "new").read_bytes() == b"one"
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640
    unpack(archive(("etc/x", b"two")), PurePosixPath("/etc/x"), tmp_path)
    assert (tmp_path / "x").read_bytes() == b"two"


def test_a_folder_comes_with_all_that_is_in_it(tmp_path):
    unpack(archive(("etc/d", None), ("etc/d/a", b"1"), ("etc/d/e/b", b"2")), PurePosixPath("/etc/d"), tmp_path / "out")
    assert (tmp_path / "out/a").read_bytes() == b"1"
    assert (tmp_path / "out/e/b").read_bytes() == b"2"


def test_nothing_lands_outside_of_the_target(tmp_path, capsys):
    outside = tmp_path / "outside"
    outside.mkdir()
    target = tmp_path / "out"
    hostile = archive(("d", None), ("d/../../outside/evil", b"1"), ("d/link", str(outside)), ("d/link/evil", b"2"), ("/abs/evil", b"3"))
    unpack(hostile, PurePosixPath("d"), target)
    assert list(outside.iterdir()) == []
    assert not (target / "link").is_symlink()
    assert "would lie outside" in capsys.readouterr().err
    # A link that was there before is not followed, either.
    (target / "sub").symlink_to(outside)
    unpack(archive(("d/sub/evil", b"1")), PurePosixPath("d"), target)
    assert list(outside.iterdir()) == []


def test_an_empty_answer_is_a_missing_file(tmp_path):
    with pytest.raises(K3pyError, match="no such file"):
        unpack(archive(), PurePosixPath("/etc/x"), tmp_path / "x")

"""What packs the single file refuses: programs of another architecture."""

import runpy
import sys

import pytest

from tests.support.lab.node import PROJECT


@pytest.fixture(scope="module")
def tree_module():
    folder = str(PROJECT / "packaging/single_file")
    sys.path.insert(0, folder)
    try:
        return runpy.run_path(f"{folder}/tree.py")
    finally:
        sys.path.remove(folder)


def elf(machine):
    return b"\x7fELF" + bytes(14) + machine.to_bytes(2, "little") + bytes(44)


def test_a_program_of_another_architecture_is_named(tmp_path, tree_module):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/runc").write_bytes(elf(183))
    (tmp_path / "bin/script").write_text("#!/bin/sh\n")
    (tmp_path / "bin/ctr").symlink_to("containerd")
    tree_module["check_programs"](tmp_path, "arm64")
    with pytest.raises(SystemExit, match="bin/runc is not for amd64"):
        tree_module["check_programs"](tmp_path, "amd64")

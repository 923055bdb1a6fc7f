"""Which versions of etcd are taken."""

from pathlib import Path

import pytest

from k3py.runtime.program import MissingProgram, get_program
from k3py.server.etcd.program import UnfitProgram, check_version

PROGRAM = Path("/usr/bin/etcd")


@pytest.mark.parametrize("version", [(3, 4, 23), (3, 5, 5), (3, 5, 21), (3, 6, 4), (4, 0, 0)])
def test_fit_versions(version):
    text = ".".join(map(str, version))
    assert check_version(PROGRAM, f"etcd Version: {text}\nGit SHA: x\n") == version


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        ("etcd Version: 3.3.25\n", "etcd 3.3.25: must be 3.4 or newer"),
        ("etcd Version: 3.5.2\n", "etcd 3.5.2: 3.5.0 to 3.5.4 can lose data"),
        ("hello\n", "it is no etcd"),
    ],
)
def test_unfit_ones_are_named_with_what_to_install(shown, why):
    with pytest.raises(UnfitProgram, match=why) as caught:
        check_version(PROGRAM, shown)
    assert "apt-get install etcd-server" in str(caught.value)
    assert str(PROGRAM) in str(caught.value)


def test_a_missing_program_is_named_with_its_package(monkeypatch):
    monkeypatch.setattr("k3py.runtime.program.find_program", lambda name, bin_dir=None: None)
    with pytest.raises(MissingProgram, match=r"'etcd' is missing: install it .*apt-get install etcd-server"):
        get_program("etcd")

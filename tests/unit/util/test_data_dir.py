"""A data dir is held by one k3py, and only if it is k3py's."""

import os

import pytest

from k3py.errors import ConfigError, K3pyError
from k3py.util.data_dir import hold_data_dir


def test_a_second_server_is_told_who_holds_it(tmp_path):
    folder = tmp_path / "d"
    refused = pytest.raises(K3pyError, match=rf"--data-dir.*process {os.getpid()}")
    with hold_data_dir(folder), refused, hold_data_dir(folder):
        raise AssertionError("held twice")
    with hold_data_dir(folder):
        assert (folder / "k3py.lock").exists()


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "precious").write_text("x")
    with pytest.raises(ConfigError, match="holds precious"), hold_data_dir(tmp_path):
        pass
    assert os.listdir(tmp_path) == ["precious"]


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "f").write_text("x")
    with pytest.raises(ConfigError, match="--data-dir"), hold_data_dir(tmp_path / "f" / "d"):
        pass

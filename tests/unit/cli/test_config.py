"""`k3py config`: what a server or an agent would run with, for people and for the installer."""

from __future__ import annotations

import pytest
import yaml

from k3py.cli.config import run
from k3py.config.loader import load_values
from k3py.errors import ConfigError


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch, tmp_path):
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    monkeypatch.setenv("K3PY_CONFIG_FILE", str(empty))


def test_what_it_prints_is_a_configuration_file_that_comes_to_the_same(capsys, tmp_path, monkeypatch):
    flags = ["--disable=coredns", "--node-label=a=b", "--write-kubeconfig-mode=644", "--service-node-port-range=30000-30010"]
    assert run(["server", *flags, f"--data-dir={tmp_path}"]) == 0
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)["write-kubeconfig-mode"] == "644"
    file = tmp_path / "config.yaml"
    file.write_text(printed)
    monkeypatch.delenv("K3PY_CONFIG_FILE")
    again = load_values("server", [f"--config={file}"], {})
    direct = load_values("server", [*flags, f"--data-dir={tmp_path}"], {})
    assert {name: value for name, value in again.items() if name != "config"} == {
        name: value for name, value in direct.items() if name != "config"
    }


def test_secrets_are_left_out(capsys, monkeypatch):
    monkeypatch.setenv("K3PY_TOKEN", "very-secret")
    assert run(["agent", "--server=https://192.0.2.1:6443"]) == 0
    printed = capsys.readouterr().out
    assert "server: https://192.0.2.1:6443" in printed
    assert "very-secret" not in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["server", "--https-listen-port=0"], "--https-listen-port: '0': must be a port"),
        (["agent"], "--server: must be given"),
        (["node"], "'node': must be one of server, agent"),
    ],
)
def test_wrong_values_are_told_as_the_command_would(arguments, message):
    with pytest.raises(ConfigError) as caught:
        run(arguments)
    assert message in str(caught.value)


def test_without_a_role_it_says_how_it_is_used(capsys):
    assert run([]) == 2
    assert "usage: k3py config server|agent" in capsys.readouterr().out

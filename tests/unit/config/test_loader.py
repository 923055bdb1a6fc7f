"""Flags, environment and files: C-65 to C-69, and what bad input says."""

import pytest

from k3py.config.loader import load_values
from k3py.errors import ConfigError


def load(tmp_path, arguments=(), environ=None, file=None):
    env = dict(environ or {})
    config = tmp_path / "config.yaml"
    if file is not None:
        config.write_text(file)
    env.setdefault("K3PY_CONFIG_FILE", str(config)) if config.exists() else None
    return load_values("server", list(arguments), env)


def test_flag_wins_over_environment_and_environment_over_file(tmp_path):
    file = "data-dir: /f\nnode-name: f\nhttps-listen-port: 7000\n"
    values = load(tmp_path, ["--data-dir=/a"], {"K3PY_DATA_DIR": "/e", "K3PY_NODE_NAME": "e"}, file)
    assert (str(values["data_dir"]), values["node_name"], values["https_listen_port"]) == ("/a", "e", 7000)


def test_the_last_file_wins_and_plus_appends(tmp_path):
    folder = tmp_path / "config.yaml.d"
    folder.mkdir()
    (folder / "10.yaml").write_text("tls-san+: b\nnode-name: ten\n")
    (folder / "20.yaml").write_text("tls-san+: [c, d]\nnode-name: twenty\n")
    values = load(tmp_path, file="tls-san: [a]\nnode-name: base\n")
    assert values["tls_san"] == ("a", "b", "c", "d")
    assert values["node_name"] == "twenty"


def test_a_flag_replaces_the_whole_list_of_the_files(tmp_path):
    assert load(tmp_path, ["--tls-san", "x", "--tls-san=y,z"], file="tls-san: [a, b]")["tls_san"] == ("x", "y", "z")


def test_a_bool_flag_needs_no_value_and_a_one_letter_key_works(tmp_path):
    values = load(tmp_path, ["--debug"], file="d: /short\ndisable-agent: true\n")
    assert values["debug"] is True
    assert values["disable_agent"] is True
    assert str(values["data_dir"]) == "/short"


@pytest.mark.parametrize(
    ("arguments", "file", "words"),
    [
        (["--frobnicate"], None, ["--frobnicate"]),
        (["stray"], None, ["stray"]),
        (["--https-listen-port=70000"], None, ["--https-listen-port", "70000", "1 to 65535"]),
        (["--cluster-cidr=10.42.0.1/16"], None, ["--cluster-cidr", "10.42.0.1/16", "without host bits"]),
        (["--debug=perhaps"], None, ["--debug", "perhaps", "true or false"]),
        (["--write-kubeconfig-mode=999"], None, ["--write-kubeconfig-mode", "999", "octal"]),
        (["--node-name=Not_Valid"], None, ["--node-name", "Not_Valid", "lowercase"]),
        ([], "nod-name: x", ["config.yaml", "nod-name", "node-name"]),
        ([], "node-ip: nowhere", ["--node-ip", "config.yaml", "nowhere", "IP address"]),
        ([], "node-ip: {a: 1}", ["config.yaml", "node-ip", "dict"]),
        ([], "- a", ["config.yaml", "mapping"]),
        ([], "a: [", ["config.yaml", "YAML"]),
    ],
)
def test_bad_input_names_the_flag_the_value_and_what_is_allowed(tmp_path, arguments, file, words):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, arguments, file=file)
    assert caught.value.exit_code == 2
    for word in words:
        assert word in str(caught.value)


def test_a_config_file_named_explicitly_must_exist(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path, [f"--config={tmp_path}/absent.yaml"])


def test_a_secret_is_not_repeated_in_the_error(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, ["--token-file=/nonexistent", "--kubelet-port=x", "--token=hunter2"])
    assert "hunter2" not in str(caught.value)

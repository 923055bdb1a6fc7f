"""Critical arguments (C-60)."""

from k3py.config.critical import critical_arguments, find_mismatch
from k3py.config.server import load_server_config


def arguments(*flags):
    return critical_arguments(load_server_config(["--data-dir=/nowhere", "--node-name=n", *flags], {}), "password")


def test_defaults_are_filled_and_secrets_marked():
    found = arguments("--token=geheim", "--agent-token=geheimer")
    assert arguments()["agent-token"] == "" != found["agent-token"]
    assert found["agent-token"] != arguments("--agent-token=another")["agent-token"]
    assert found["cluster-cidr"] == "10.42.0.0/16"
    assert found["cluster-dns"] == "10.43.0.10"
    assert found["secrets-encryption"] == "false"
    assert "geheim" not in str(found)


def test_a_mismatch_is_named_by_flag_value_and_server():
    fault = find_mismatch(arguments("--cluster-domain=a.local"), arguments(), "https://192.0.2.1:6443")
    assert fault == (
        "critical arguments differ between servers: --cluster-domain: 'a.local': must be 'cluster.local' as on https://192.0.2.1:6443"
    )
    assert find_mismatch(arguments(), arguments(), "x") == ""


def test_what_only_one_of_them_knows_is_not_compared():
    assert find_mismatch({"a": "1"}, {"b": "2"}, "x") == ""

"""Settings of the server that contradict each other are refused by name."""

import pytest

from k3py.config.server import load_server_config
from k3py.errors import ConfigError

ENV = {"K3PY_CONFIG_FILE": ""}


def test_defaults_are_filled():
    config = load_server_config(["--node-name=n1", "--node-ip=192.0.2.7"], ENV)
    assert config.cluster_dns == "10.43.0.10"
    assert config.advertise_address == "192.0.2.7"
    assert config.https_listen_port == 6443


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--service-cidr=10.42.8.0/24"], ["--service-cidr", "10.42.8.0/24", "--cluster-cidr"]),
        (["--cluster-dns=192.0.2.1"], ["--cluster-dns", "192.0.2.1", "10.43.0.0/16"]),
        (["--service-cidr=10.43.0.0/16,fd43::/112"], ["--service-cidr", "families", "--cluster-cidr"]),
        (["--cluster-cidr=10.42.0.0/16,10.44.0.0/16"], ["--cluster-cidr", "10.44.0.0/16", "one of IPv4 and one of IPv6"]),
        (["--cluster-cidr=fd42::/100", "--service-cidr=fd43::/112"], ["--cluster-cidr", "fd42::/100", "/64"]),
        (["--cluster-cidr=fd42::/56", "--service-cidr=fd43::/64"], ["--service-cidr", "fd43::/64", "/108"]),
        (["--flannel-backend=wireguard-native"], ["--flannel-backend", "wireguard-native", "no WireGuard yet", "vxlan"]),
        (["--node-label=x"], ["--node-label", "x", "key=value"]),
        (["--node-taint=a=b:Never"], ["--node-taint", "a=b:Never", "NoExecute"]),
        (["--snapshotter=zfs"], ["--snapshotter", "zfs", "overlayfs"]),
        (["--token-file=/nonexistent/t"], ["--token-file", "/nonexistent/t"]),
    ],
)
def test_contradictions_name_the_flag(arguments, words):
    with pytest.raises(ConfigError) as caught:
        load_server_config(["--node-name=n1", "--node-ip=192.0.2.7", *arguments], ENV)
    for word in words:
        assert word in str(caught.value)


def test_two_families():
    flags = ["--cluster-cidr=10.42.0.0/16,fd42::/56", "--service-cidr=10.43.0.0/16,fd43::/112", "--node-ip=192.0.2.7,2001:db8::7"]
    config = load_server_config(["--node-name=n1", *flags], ENV)
    assert (config.node_ip, config.node_ips) == ("192.0.2.7", ("192.0.2.7", "2001:db8::7"))
    assert config.cluster_dns == "10.43.0.10,fd43::a"
    assert config.bind_address == "::"


def test_the_token_never_shows_in_the_representation():
    config = load_server_config(["--token=hunter2", "--node-ip=192.0.2.7"], ENV)
    assert "hunter2" not in repr(config)

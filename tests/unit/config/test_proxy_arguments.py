"""--kube-proxy-arg: what is honoured, and what is refused by name."""

import pytest

from k3py.config.proxy_arguments import ProxyArguments, parse_proxy_arguments
from k3py.errors import ConfigError


def test_places_of_node_ports():
    assert parse_proxy_arguments([]) == ProxyArguments()
    given = ["nodeport-addresses=192.0.2.0/24", "nodeport-addresses=198.51.100.7/24, 2001:db8::/64"]
    assert parse_proxy_arguments(given).node_port_addresses == ("198.51.100.0/24", "2001:db8::/64")
    assert parse_proxy_arguments(["--nodeport-addresses=primary"]).node_port_addresses == ("primary",)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("proxy-mode=ipvs", ["--kube-proxy-arg", "proxy-mode", "nodeport-addresses"]),
        ("nodeport-addresses=everywhere", ["nodeport-addresses", "everywhere", "192.0.2.0/24"]),
        ("nodeport-addresses=", ["nodeport-addresses", "primary"]),
        ("nodeport-addresses=primary,10.0.0.0/8", ["primary", "alone"]),
    ],
)
def test_what_is_refused_is_named(given, words):
    with pytest.raises(ConfigError) as caught:
        parse_proxy_arguments([given])
    assert all(word in str(caught.value) for word in words)

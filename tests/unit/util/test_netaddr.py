"""Addresses of one or both families."""

from k3py.util.netaddr import first_host, is_ipv6, split_pair


def test_pairs_keep_their_order():
    assert split_pair("") == ()
    assert split_pair("10.42.0.0/16") == ("10.42.0.0/16",)
    assert split_pair("fd42::/56, 10.42.0.0/16") == ("fd42::/56", "10.42.0.0/16")


def test_families_and_first_addresses():
    assert (is_ipv6("fd42::/64"), is_ipv6("10.0.0.1")) == (True, False)
    assert (first_host("10.42.3.0/24"), first_host("fd42::/64")) == ("10.42.3.1", "fd42::1")

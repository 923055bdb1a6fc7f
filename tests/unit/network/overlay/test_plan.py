"""Which ranges lie behind which nodes, and the rules that hide pods from the outside only."""

from pathlib import Path

from k3py.network.masquerade import Masquerade
from k3py.network.overlay.plan import make_link_local, make_mac, plan_peers
from tests.support.objects import node


def at(name, address, cidr=""):
    one = node(name)
    one["status"]["addresses"] = [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]
    if cidr:
        one["spec"]["podCIDR"] = cidr
    return one


def test_peers_are_the_other_nodes_with_address_and_range():
    nodes = [
        at("own", "192.0.2.1", "10.42.0.0/24"),
        at("b", "192.0.2.3", "10.42.2.0/24"),
        at("a", "192.0.2.2", "10.42.1.0/24"),
        at("young", "192.0.2.4"),
        at("six", "2001:db8::1", "10.42.3.0/24"),
    ]
    peers = plan_peers(nodes, own_name="own")
    assert [(one.pod_cidr, one.address, one.gateway) for one in peers] == [
        ("10.42.1.0/24", "192.0.2.2", "10.42.1.0"),
        ("10.42.2.0/24", "192.0.2.3", "10.42.2.0"),
    ]


def test_hardware_addresses_follow_from_node_addresses_and_are_local_ones():
    assert make_mac("192.0.2.1") == "02:6b:c0:00:02:01"
    assert int(make_mac("10.0.0.1")[:2], 16) & 0b11 == 0b10


def test_pods_are_hidden_from_the_outside_and_not_from_pods():
    text = Masquerade(nft=Path("nft"), cluster_cidr="10.42.0.0/16").plan(["10.42.1.0/24", "fd42::/64"])
    (rule,) = [line for line in text.splitlines() if "masquerade fully-random" in line]
    assert "ip saddr 10.42.1.0/24 ip daddr != 10.42.0.0/16" in rule
    assert text.index("delete table ip k3py-masquerade") > text.index("table ip k3py-masquerade")


def test_ipv6_is_hidden_on_demand():
    plain = Masquerade(nft=Path("nft"), cluster_cidr="10.42.0.0/16,fd42::/56")
    assert "ip6" not in plain.plan(["10.42.1.0/24", "fd42::/64"])
    hiding = Masquerade(nft=Path("nft"), cluster_cidr="10.42.0.0/16,fd42::/56", with_ipv6=True)
    assert "ip6 saddr fd42::/64 ip6 daddr != fd42::/56" in hiding.plan(["10.42.1.0/24", "fd42::/64"])


def test_both_ranges_of_a_node_lie_behind_the_address_that_the_overlay_uses():
    one = at("a", "192.0.2.2")
    one["status"]["addresses"].append({"type": "InternalIP", "address": "2001:db8::2"})
    one["spec"]["podCIDRs"] = ["10.42.1.0/24", "fd42:0:0:1::/64"]

    def peers(outer_ipv6):
        return [(peer.pod_cidr, peer.address) for peer in plan_peers([one], own_name="own", outer_ipv6=outer_ipv6)]

    assert peers(False) == [("10.42.1.0/24", "192.0.2.2"), ("fd42:0:0:1::/64", "192.0.2.2")]
    assert peers(True) == [("10.42.1.0/24", "2001:db8::2"), ("fd42:0:0:1::/64", "2001:db8::2")]
    assert peers(None) == [("10.42.1.0/24", "192.0.2.2"), ("fd42:0:0:1::/64", "2001:db8::2")]


def test_next_hops_of_ipv6_ranges_follow_from_node_addresses():
    assert make_link_local("192.0.2.1") == "fe80::26b:c000:201"
    assert make_link_local("2001:db8::1") != make_link_local("2001:db8::2")
    assert make_mac("2001:db8::1").startswith("02:6b:")

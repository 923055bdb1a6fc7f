"""Which ranges lie behind which nodes, and the rules that hide pods from the outside only."""

from pathlib import Path

from k3py.network.masquerade import Masquerade
from k3py.network.overlay.plan import make_mac, plan_peers
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
    text = Masquerade(nft=Path("nft"), cluster_cidr="10.42.0.0/16").plan("10.42.1.0/24")
    (rule,) = [line for line in text.splitlines() if "masquerade fully-random" in line]
    assert "ip saddr 10.42.1.0/24 ip daddr != 10.42.0.0/16" in rule
    assert text.index("delete table ip k3py-masquerade") > text.index("table ip k3py-masquerade")

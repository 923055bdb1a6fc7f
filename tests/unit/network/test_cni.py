"""The pod network's CNI list."""

from __future__ import annotations

import json

from k3py.network.cni import BridgeNetwork


async def test_the_list_has_a_bridge_with_the_nodes_range_and_port_mapping(tmp_path):
    await BridgeNetwork().configure(pod_cidr="10.42.3.0/24", cni_conf_dir=tmp_path / "net.d")
    document = json.loads((tmp_path / "net.d/zz-k3py.conflist").read_text())
    bridge, portmap = document["plugins"]
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.42.3.0/24"}]]
    assert (bridge["isGateway"], bridge["ipMasq"], bridge["hairpinMode"]) == (True, False, True)
    assert portmap == {"type": "portmap", "capabilities": {"portMappings": True}}


async def test_dual_stack_has_a_range_and_a_default_route_of_each_family():
    ipam = BridgeNetwork().plan("10.42.3.0/24,fd00:42::/64")["plugins"][0]["ipam"]
    assert ipam["ranges"] == [[{"subnet": "10.42.3.0/24"}], [{"subnet": "fd00:42::/64"}]]
    assert [route["dst"] for route in ipam["routes"]] == ["0.0.0.0/0", "::/0"]


def test_bandwidth_counts_where_there_is_a_plugin():
    plugins = BridgeNetwork(with_bandwidth=True).plan("10.42.3.0/24")["plugins"]
    assert plugins[2] == {"type": "bandwidth", "capabilities": {"bandwidth": True}}


async def test_the_list_is_the_last_of_its_folder_and_takes_the_place_of_the_former(tmp_path):
    (tmp_path / "10-k3py.conflist").write_text("{}")
    (tmp_path / "99-theirs.conflist").write_text("{}")
    await BridgeNetwork().configure(pod_cidr="10.42.3.0/24", cni_conf_dir=tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["99-theirs.conflist", "zz-k3py.conflist"]


async def test_an_unchanged_list_is_left_alone(tmp_path):
    network = BridgeNetwork()
    await network.configure(pod_cidr="10.42.3.0/24", cni_conf_dir=tmp_path)
    first = (tmp_path / "zz-k3py.conflist").stat().st_ino
    await network.configure(pod_cidr="10.42.3.0/24", cni_conf_dir=tmp_path)
    assert (tmp_path / "zz-k3py.conflist").stat().st_ino == first
    await network.configure(pod_cidr="10.42.4.0/24", cni_conf_dir=tmp_path)
    assert (tmp_path / "zz-k3py.conflist").stat().st_ino != first

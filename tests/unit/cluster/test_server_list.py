"""The list of servers: what the cluster says is kept over restarts, the address to join stays the last resort."""

import stat

import pytest

from k3py.cluster.server_list import ServerList, server_addresses, split_address

JOIN = "https://cluster.example:6443"


def slice_(*addresses, name="kubernetes", namespace="default", **endpoint):
    labels = {"kubernetes.io/service-name": name}
    return {
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "endpoints": [{"addresses": [one], **endpoint} for one in addresses],
        "ports": [{"name": "https", "port": 6443}],
    }


def test_the_addresses_are_those_of_the_kubernetes_service():
    slices = [
        slice_("192.0.2.2", "192.0.2.1"),
        slice_("2001:db8::1"),
        slice_("192.0.2.9", name="other"),
        slice_("192.0.2.8", namespace="kube-system"),
        slice_("192.0.2.7", conditions={"ready": False}),
    ]
    assert server_addresses(slices) == ("192.0.2.1:6443", "192.0.2.2:6443", "[2001:db8::1]:6443")
    assert split_address("[2001:db8::1]:6443") == ("2001:db8::1", 6443)


async def test_what_was_learned_is_there_after_a_restart_and_the_address_to_join_is_last(tmp_path):
    file = tmp_path / "etc/servers.json"
    servers = ServerList(file, JOIN)
    assert servers.addresses == ("cluster.example:6443",)
    changes = []
    servers.on_change(lambda: changes.append(servers.learned))
    await servers.learn(["192.0.2.2:6443", "192.0.2.1:6443"])
    await servers.learn(["192.0.2.1:6443", "192.0.2.2:6443"])  # the same
    await servers.learn([])  # no news
    assert changes == [("192.0.2.1:6443", "192.0.2.2:6443")]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert ServerList(file, JOIN).addresses == ("192.0.2.1:6443", "192.0.2.2:6443", "cluster.example:6443")


@pytest.mark.parametrize("content", [b"", b"[]", b'{"servers": ["nowhere"]}', b'{"servers": 3}'])
def test_a_damaged_file_is_as_good_as_none(tmp_path, content):
    file = tmp_path / "servers.json"
    file.write_bytes(content)
    assert ServerList(file, JOIN).addresses == ("cluster.example:6443",)


async def test_a_disk_that_cannot_be_written_keeps_nobody_from_learning(tmp_path):
    (tmp_path / "etc").write_text("not a folder")
    servers = ServerList(tmp_path / "etc/servers.json", JOIN)
    await servers.learn(["192.0.2.1:6443"])
    assert servers.learned == ("192.0.2.1:6443",)

"""Reading pods for policies."""

from k3py.network.policy.pods import read_pod, reduce_pod
from tests.support.objects import pod


def running(**spec):
    one = pod("web", node="n1", labels={"app": "web"}, spec=spec)
    one["status"] |= {"podIP": "10.42.0.2", "podIPs": [{"ip": "10.42.0.2"}, {"ip": "fd00::2"}]}
    return one


def test_a_pod_has_addresses_labels_and_place():
    found = read_pod(running(), node_name="n1")
    assert (found.addresses, found.labels, found.local) == (("10.42.0.2", "fd00::2"), {"app": "web"}, True)
    assert not read_pod(running(), node_name="n2").local


def test_named_ports_of_containers_and_sidecars():
    port = {"name": "http", "containerPort": 80}
    spec = {
        "containers": [{"name": "c", "ports": [port, {"containerPort": 81}]}],
        "initContainers": [
            {"name": "i", "ports": [{"name": "once", "containerPort": 1}]},
            {"name": "s", "restartPolicy": "Always", "ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]},
        ],
    }
    assert read_pod(running(**spec), node_name="").ports == (("http", "TCP", 80), ("dns", "UDP", 53))


def test_pods_that_have_ended_or_share_the_hosts_network_are_left_out():
    assert read_pod(running(hostNetwork=True), node_name="n1") is None
    ended = running()
    ended["status"]["phase"] = "Failed"
    assert read_pod(ended, node_name="n1") is None


def test_addresses_that_the_runtime_told_stand_for_those_of_the_status():
    new = pod("web", node="n1")
    assert read_pod(new, node_name="n1") is None
    assert read_pod(new, node_name="n1", addresses=["10.42.0.9"]).addresses == ("10.42.0.9",)


def test_a_reduced_pod_reads_like_the_whole_one_and_is_small():
    spec = {
        "containers": [
            {"name": "c", "image": "i", "env": [{"name": "PASSWORD", "value": "x"}], "ports": [{"name": "http", "containerPort": 80}]}
        ],
        "initContainers": [
            {"name": "s", "restartPolicy": "Always", "ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]},
            {"name": "i", "image": "i"},
        ],
    }
    whole = running(**spec)
    reduced = reduce_pod(whole)
    assert read_pod(reduced, node_name="n1") == read_pod(whole, node_name="n1")
    assert "PASSWORD" not in str(reduced)
    assert read_pod(reduce_pod(running(hostNetwork=True)), node_name="n1") is None
    assert reduce_pod(reduced) == reduced

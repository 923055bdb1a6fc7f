"""Which connections of the API server take which node's tunnel."""

import pytest

from k3py.api.resource import NODES, PODS
from k3py.cluster.tunnel.egress import TunnelEgress
from tests.support.fake_client import FakeClient, FakeInformerFactory


class Session:
    def __init__(self, name):
        self.name = name

    async def connect(self, target):
        return f"{self.name} {target}"


class Gateway:
    def __init__(self, *nodes):
        self.sessions = {name: Session(name) for name in nodes}

    def count(self):
        return len(self.sessions)

    def find(self, node_name):
        return self.sessions.get(node_name)


def node(name, address, cidr, port=10250):
    return {
        "metadata": {"name": name},
        "spec": {"podCIDR": cidr},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        },
    }


def pod(name, node_name, address, phase="Running"):
    status = {"phase": phase, "podIP": address, "podIPs": [{"ip": address}]}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"nodeName": node_name}, "status": status}


async def routes(mode, *tunnels):
    client = FakeClient()
    client.seed(NODES, node("n1", "192.0.2.1", "10.42.0.0/24"))
    client.seed(NODES, node("n2", "192.0.2.2", "10.42.1.0/24", port=10251))
    client.seed(PODS, pod("web", "n2", "10.42.1.5"))
    client.seed(PODS, pod("done", "n2", "10.42.1.6", phase="Succeeded"))
    informers = FakeInformerFactory(client)
    egress = TunnelEgress(mode, Gateway(*tunnels), informers)
    await informers.informer(NODES).wait_synced()
    targets = ("192.0.2.2", 10251), ("n2", 10251), ("192.0.2.2", 10250), ("10.42.1.5", 80), ("10.42.1.6", 80), ("192.0.2.1", 10250), ("example.org", 443)
    return [await egress.connect(host, port) for host, port in targets]


KUBELET = "n2 127.0.0.1:10251"


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("disabled", [None] * 7),
        ("agent", [KUBELET, KUBELET, None, None, None, None, None]),
        ("pod", [KUBELET, KUBELET, None, "n2 10.42.1.5:80", None, None, None]),
        ("cluster", [KUBELET, KUBELET, "n2 192.0.2.2:10250", "n2 10.42.1.5:80", "n2 10.42.1.6:80", None, None]),
    ],
)
async def test_routes_by_mode(mode, expected):
    assert await routes(mode, "n2") == expected


async def test_without_tunnels_everything_is_direct():
    assert await routes("cluster") == [None] * 7

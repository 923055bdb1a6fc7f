"""What an agent dials for a server in each mode of egress, and nothing else."""

import pytest

from k3py.cluster.tunnel.dial_policy import DialPolicy

PODS = [
    {"spec": {}, "status": {"podIP": "10.42.1.5", "podIPs": [{"ip": "10.42.1.5"}, {"ip": "fd00::5"}]}},
    {
        "spec": {"hostNetwork": True, "containers": [{"ports": [{"containerPort": 9100}, {"containerPort": 53, "protocol": "UDP"}]}]},
        "status": {"podIP": "192.0.2.7"},
    },
]
NODES = [{"status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.7"}, {"type": "Hostname", "address": "n2"}]}}]
TARGETS = {
    "127.0.0.1:10250": {"agent", "pod", "cluster", "disabled"},
    "[::1]:10250": {"agent", "pod", "cluster", "disabled"},
    "127.0.0.1:22": set(),
    "localhost:6444": set(),
    "10.42.1.5:8080": {"pod", "cluster"},
    "[fd00::5]:8080": {"pod"},
    "10.42.2.9:8080": {"cluster"},
    "192.0.2.7:9100": {"pod", "cluster"},
    "192.0.2.7:53": {"cluster"},
    "192.0.2.8:80": set(),
    "169.254.169.254:80": set(),
    "example.org:443": set(),
    "n2:80": set(),
    "nonsense": set(),
    ":": set(),
}


def policy(mode):
    return DialPolicy(mode=mode, kubelet_port=10250, pods=lambda: PODS, nodes=lambda: NODES, cluster_cidrs=("10.42.0.0/16",))


@pytest.mark.parametrize("mode", ["agent", "pod", "cluster", "disabled"])
@pytest.mark.parametrize("target", TARGETS)
def test_only_what_the_mode_allows_is_dialled(mode, target):
    if mode in TARGETS[target]:
        host, _, port = target.rpartition(":")
        assert policy(mode).check(target) == (host.strip("[]"), int(port))
    else:
        with pytest.raises(PermissionError):
            policy(mode).check(target)

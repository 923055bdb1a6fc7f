"""Both IP families on two nodes: pods, services, names, policies."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest

from tests.support.cluster import Server, start_agent
from tests.support.lab import Lab
from tests.support.lab.runtime import put_busybox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

IMAGE = "docker.io/library/busybox:local"
PODS, SERVICES = "10.42.0.0/16,fd42::/56", "10.43.0.0/16,fd43::/112"
WEB = "mkdir /w; hostname >/w/index.html; exec httpd -f -p 8080 -h /w"


def pod(name, node, script):
    container = {"name": "c", "image": IMAGE, "command": ["sh", "-c", script]}
    spec = {"nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 0}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


@contextmanager
def cluster(*flags, url=""):
    """Two nodes with three pods; `url`: where the agent joins."""
    with Lab() as lab:
        nodes = [lab.add_node("n1"), lab.add_node("n2")]
        for number, node in enumerate(nodes, 1):
            put_busybox(node)
            node.run(["ip", "address", "add", f"fd77::{number}/64", "dev", "eth0", "nodad"])
            node.run(["ip", "-6", "route", "add", "default", "via", "fd77::ff"])
        first, second = nodes
        made = Server(first, *flags)
        made.start()
        made.wait_ready()
        agent = start_agent(second, url or made.url, made.token)
        try:
            made.until(lambda: made.kubectl("get", "nodes").stdout.count(" Ready ") == 2, what="two Ready nodes")
            items = [pod("web", "n2", WEB), pod("near", "n1", WEB), pod("client", "n1", "exec sleep 100000")]
            made.kubectl("apply", "-f", "-", stdin=json.dumps({"kind": "List", "apiVersion": "v1", "items": items}))
            made.kubectl("wait", "pod", "--all", "--for=condition=Ready", "--timeout=60s", timeout_s=70)
            yield made
        finally:
            agent.kill()
            agent.wait(timeout=30)
            made.kill()


@pytest.fixture(scope="module")
def server():
    flags = ("--node-ip=192.168.77.10,fd77::1", "--kube-proxy-arg=nodeport-addresses=primary")
    with cluster(f"--cluster-cidr={PODS}", f"--service-cidr={SERVICES}", *flags) as made:
        yield made


def run(server, *command):
    return server.kubectl("exec", "client", "--", "timeout", "5", *command, check=False).stdout.strip()


def fetch(server, address, port=8080):
    host = f"[{address}]" if ":" in address else address
    return run(server, "wget", "-q", "-O", "-", f"http://{host}:{port}/")


def addresses(server, name):
    return [one["ip"] for one in server.get("pod", name)["status"]["podIPs"]]


def test_nodes_and_pods_have_an_address_of_each_family(server):
    for node, second in (("n1", "fd77::1"), ("n2", "fd77::2")):
        found = server.get("node", node)
        assert len(found["spec"]["podCIDRs"]) == 2
        assert second in [one["address"] for one in found["status"]["addresses"]]
    assert [":" in one for one in addresses(server, "web")] == [False, True]


@pytest.mark.parametrize("name", ["near", "web"])
def test_pods_reach_each_other_by_both(server, name):
    for address in addresses(server, name):
        server.until(lambda address=address: fetch(server, address) == name, what=f"{name} at {address}")


def test_services_get_addresses_as_their_policy_says(server):
    def service(name, **spec):
        spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]} | spec
        return {"kind": "Service", "apiVersion": "v1", "metadata": {"name": name}, "spec": spec}

    items = [
        service("one"),
        service("six", ipFamilies=["IPv6"]),
        service("both", ipFamilyPolicy="PreferDualStack", type="NodePort"),
    ]
    server.kubectl("apply", "-f", "-", stdin=json.dumps({"kind": "List", "apiVersion": "v1", "items": items}))
    found = {one["metadata"]["name"]: one["spec"] for one in server.get("services", "one", "six", "both")["items"]}
    assert {name: spec["ipFamilies"] for name, spec in found.items()} == {"one": ["IPv4"], "six": ["IPv6"], "both": ["IPv4", "IPv6"]}
    for name, spec in found.items():
        for address in spec["clusterIPs"]:
            server.until(lambda address=address: fetch(server, address, 80) == "web", what=f"{name} at {address}")
    port = found["both"]["ports"][0]["nodePort"]
    for address in (server.node.address, "fd77::1"):
        server.until(lambda address=address: fetch(server, address, port) == "web", what=f"node port at {address}")
    server.node.run(["ip", "address", "add", "192.168.77.99/24", "dev", "eth0"])
    assert "refused" in server.node.run(["busybox", "wget", "-O", "-", f"http://192.168.77.99:{port}/"], check=False).stderr
    # The node reaches it, too.
    done = server.node.run(["busybox", "wget", "-q", "-O", "-", f"http://[{found['six']['clusterIP']}]/"], check=False)
    assert done.stdout.strip() == "web"
    # And names lead to both, asked for over both.
    dns = server.get("service", "kube-dns", "-n", "kube-system")["spec"]["clusterIPs"]
    assert len(dns) == 2
    for name_server in dns:
        said = run(server, "nslookup", "both.default.svc.cluster.local", name_server)
        assert all(address in said for address in found["both"]["clusterIPs"]), said
        reverse = run(server, "nslookup", found["six"]["clusterIP"], name_server)
        assert "six.default.svc.cluster.local" in reverse
    assert all(one in server.kubectl("exec", "client", "--", "cat", "/etc/resolv.conf").stdout for one in dns)


def test_policies_hold_for_both(server):
    deny = {"kind": "NetworkPolicy", "apiVersion": "networking.k8s.io/v1", "metadata": {"name": "deny"}, "spec": {"podSelector": {}}}
    server.kubectl("apply", "-f", "-", stdin=json.dumps(deny))
    for name in ("near", "web"):
        for address in addresses(server, name):
            server.until(lambda address=address: not fetch(server, address), what=f"{address} closed")
    server.kubectl("delete", "networkpolicy", "deny")
    for address in addresses(server, "web"):
        server.until(lambda address=address: fetch(server, address) == "web", what=f"{address} open")


def test_ipv6_alone():
    flags = ("--cluster-cidr=fd42::/56", "--service-cidr=fd43::/112", "--node-ip=fd77::1")
    with cluster(*flags, url="https://[fd77::1]:6443") as server:
        for name in ("near", "web"):
            (address,) = addresses(server, name)
            server.until(lambda address=address, name=name: fetch(server, address) == name, what=f"{name} at {address}")
        address = server.get("service", "kubernetes")["spec"]["clusterIP"]
        assert address.startswith("fd43:")
        server.until(
            lambda: address in run(server, "nslookup", "kubernetes.default.svc.cluster.local").partition("Name:")[2], what="an answer"
        )
        assert server.kubectl("logs", "web").returncode == 0

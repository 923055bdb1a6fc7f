"""Network policies between real pods, on one node and across two."""

from __future__ import annotations

import json

import pytest

from tests.support.cluster import running_pair, start_agent
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

IMAGE = "docker.io/library/busybox:local"
WEB = "mkdir /w; hostname >/w/index.html; httpd -p 8080 -h /w; exec httpd -f -p 9090 -h /w"
DNS = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
}
NODES = ("n1", "n2")


def pod(name, node, script, *, labels=None, **more):
    container = {"name": "c", "image": IMAGE, "command": ["sh", "-c", script]} | more
    spec = {"nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 0}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "labels": labels or {}}, "spec": spec}


class Cluster:
    def __init__(self, server):
        self.server = server
        self.second = None

    def apply(self, *objects):
        self.server.kubectl("apply", "-f", "-", stdin=json.dumps({"kind": "List", "apiVersion": "v1", "items": objects}))

    def policy(self, name, **spec):
        metadata = {"name": name}
        self.apply(
            {"kind": "NetworkPolicy", "apiVersion": "networking.k8s.io/v1", "metadata": metadata, "spec": {"podSelector": {}} | spec}
        )

    def address(self, name):
        return self.server.get("pod", name)["status"]["podIP"]

    def run(self, client, *command):
        return self.server.kubectl("exec", client, "--", "timeout", "5", *command, check=False).stdout.strip()

    def fetch(self, client, name, port=8080):
        """Return what a web server says, "" when it is not reached."""
        return self.run(client, "wget", "-q", "-O", "-", f"http://{self.address(name)}:{port}/")

    def until_reached(self, client, name, port=8080):
        self.server.until(lambda: self.fetch(client, name, port) == name, what=f"{client} reaches {name}:{port}")

    def until_closed(self, client, name, port=8080):
        self.server.until(lambda: not self.fetch(client, name, port), what=f"{client} no longer reaches {name}:{port}")


@pytest.fixture(scope="module")
def cluster():
    with running_pair() as (server, second):
        made = Cluster(server)
        made.second = second
        probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
        ports = [{"name": "http", "containerPort": 8080}]
        pods = [pod(f"web-{one}", one, WEB, labels={"app": "web"}, readinessProbe=probe, ports=ports) for one in NODES]
        pods += [pod(f"client-{one}", one, "exec sleep 100000", labels={"app": "client", "node": one}) for one in NODES]
        made.apply(*pods)
        server.kubectl("wait", "pod", "--all", "--for=condition=Ready", "--timeout=60s", timeout_s=70)
        yield made


@pytest.fixture(autouse=True)
def no_policies(cluster):
    yield
    cluster.server.kubectl("delete", "networkpolicy", "--all")


def test_closed_pods_open_to_whom_a_policy_names_on_both_nodes(cluster):
    pairs = [(f"client-{a}", f"web-{b}") for a in NODES for b in NODES]
    for client, web in pairs:
        cluster.until_reached(client, web)
    cluster.policy("deny", podSelector={"matchLabels": {"app": "web"}})
    for client, web in pairs:
        cluster.until_closed(client, web)
    # The kubelet's probes come from the pod's own node: they go on.
    for web in ("web-n1", "web-n2"):
        assert cluster.fetch(web, web) == web
        ready = [one["status"] for one in cluster.server.get("pod", web)["status"]["conditions"] if one["type"] == "Ready"]
        assert ready == ["True"]
    peers = [{"podSelector": {"matchLabels": {"node": "n1"}}}]
    cluster.policy("allow", podSelector={"matchLabels": {"app": "web"}}, ingress=[{"from": peers, "ports": [{"port": "http"}]}])
    for web in ("web-n1", "web-n2"):
        cluster.until_reached("client-n1", web)
        assert cluster.fetch("client-n1", web, 9090) == ""
        assert cluster.fetch("client-n2", web) == ""
    # A pod that gets the label gets in.
    cluster.server.kubectl("label", "pod", "client-n2", "--overwrite", "node=n1")
    cluster.until_reached("client-n2", "web-n1")
    cluster.server.kubectl("label", "pod", "client-n2", "--overwrite", "node=n2")
    cluster.until_closed("client-n2", "web-n1")
    cluster.server.kubectl("delete", "networkpolicy", "--all")
    for client, web in pairs:
        cluster.until_reached(client, web)


def test_egress_that_allows_names_and_one_port(cluster):
    ports = [{"protocol": "TCP", "port": 8000, "endPort": 8100}]
    rules = [{"to": [DNS]}, {"to": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": ports}]
    cluster.policy("out", podSelector={"matchLabels": {"app": "client"}}, policyTypes=["Egress"], egress=rules)
    for client, web in (("client-n1", "web-n2"), ("client-n2", "web-n1"), ("client-n1", "web-n1")):
        cluster.until_closed(client, web, 9090)
        cluster.until_reached(client, web)
        assert "kubernetes" in cluster.run(client, "nslookup", "kubernetes.default.svc.cluster.local")
    # Not even the node, but for its name server.
    gateway = cluster.address("client-n1").rpartition(".")[0] + ".1"
    assert "closed" in cluster.run("client-n1", "sh", "-c", f"nc -w 2 {gateway} 10250 </dev/null && echo open || echo closed")


def test_blocks_of_addresses_with_holes(cluster):
    hole = cluster.address("client-n2") + "/32"
    blocks = [{"ipBlock": {"cidr": "10.42.0.0/16", "except": [hole]}}]
    cluster.policy("blocks", podSelector={"matchLabels": {"app": "web"}}, ingress=[{"from": blocks}])
    for web in ("web-n1", "web-n2"):
        cluster.until_closed("client-n2", web)
        cluster.until_reached("client-n1", web)


def test_udp_and_tcp_are_told_apart(cluster):
    def resolves():
        return "kubernetes.default" in cluster.run("client-n2", "nslookup", "kubernetes.default.svc.cluster.local")

    cluster.policy("udp", policyTypes=["Egress"], egress=[{"ports": [{"protocol": "UDP", "port": 53}]}])
    cluster.until_closed("client-n2", "web-n1")
    assert resolves()
    cluster.policy("udp", policyTypes=["Egress"], egress=[{"ports": [{"protocol": "TCP"}]}])
    cluster.until_reached("client-n2", "web-n1")
    cluster.server.until(lambda: not resolves(), what="no answer over UDP")


def test_the_first_packet_of_a_pod_is_judged(cluster):
    cluster.policy("none", podSelector={"matchLabels": {"new": "yes"}}, policyTypes=["Ingress", "Egress"])
    cluster.server.until(
        lambda: cluster.server.node.run(["nft", "list", "tables"]).stdout.count("k3py-policy") == 1, what="the rules"
    )
    target = cluster.address("web-n1")
    script = f"wget -q -O - http://{target}:8080/ && echo open || echo closed; exec sleep 100000"
    names = [f"new-{number}-{node}" for number in range(3) for node in NODES]
    cluster.apply(*(pod(name, name[-2:], script, labels={"new": "yes"}) for name in names))
    for name in names:
        said = cluster.server.until(
            lambda name=name: {"open", "closed"} & set(cluster.server.kubectl("logs", name).stdout.split()), what=f"the end of {name}"
        )
        assert said == {"closed"}
    cluster.server.kubectl("delete", "pod", "-l", "new=yes", "--wait=false")


async def test_a_node_that_starts_without_its_server_enforces_what_it_knows(cluster):
    server, second = cluster.server, cluster.second
    cluster.policy("deny", podSelector={"matchLabels": {"app": "web"}})
    cluster.until_closed("client-n2", "web-n2")
    address = cluster.address("web-n2")
    known = second.disk / "var/lib/k3py/agent/last-known/kube-proxy"
    server.until(lambda: address in (known / "pods.json").read_text(), what="pods on the node's disk")
    server.until(lambda: "deny" in (known / "networkpolicies_networking.k8s.io.json").read_text(), what="policies on it")
    server.kill()
    second.agent.kill()
    second.agent.wait(timeout=30)
    second.run(["nft", "delete", "table", "inet", "k3py-policy"])  # as a new boot does
    second.agent = start_agent(second, server.url, (second.disk / "etc/k3py/token").read_text())

    async def rules():
        return address in second.run(["nft", "list", "table", "inet", "k3py-policy"], check=False).stdout

    try:
        assert await wait_for(rules)
    finally:
        server.start()
        server.wait_ready()
    cluster.until_closed("client-n2", "web-n2")
    server.kubectl("delete", "networkpolicy", "deny")
    cluster.until_reached("client-n2", "web-n2")

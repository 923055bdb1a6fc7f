"""What the API promises of Services, on two nodes: near endpoints, traffic policies, load balancers' addresses and questions."""

from __future__ import annotations

import json

import pytest

from tests.support.cluster import running_pair

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

IMAGE = "docker.io/library/busybox:local"
WEB = "mkdir /w; hostname >/w/index.html; exec httpd -f -p 8080 -h /w"


class Cluster:
    def __init__(self, server, second):
        self.server, self.second = server, second

    def apply(self, *objects):
        self.server.kubectl("apply", "-f", "-", stdin=json.dumps({"kind": "List", "apiVersion": "v1", "items": objects}))

    def service(self, name, **spec):
        spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]} | spec
        self.apply({"kind": "Service", "apiVersion": "v1", "metadata": {"name": name}, "spec": spec})
        return self.server.get("service", name)["spec"]

    def fetch(self, client, url):
        done = self.server.kubectl("exec", client, "--", "timeout", "4", "wget", "-q", "-O", "-", url, check=False)
        return done.stdout.strip()

    def answers(self, client, url):
        """Return who answers ten requests."""
        return {self.fetch(client, url) for _ in range(10)}

    def until_answers(self, client, url, expected):
        self.server.until(lambda: self.answers(client, url) == expected, what=f"{client} gets {expected} from {url}")


@pytest.fixture(scope="module")
def cluster():
    # Addresses of load balancers are the test's to give.
    with running_pair("--disable=servicelb") as (server, second):
        made = Cluster(server, second)
        pods = []
        for name, labels, node, script in (
            ("web-n1", {"app": "web"}, "n1", WEB),
            ("web-n2", {"app": "web"}, "n2", WEB),
            ("far", {"app": "far"}, "n2", WEB),
            ("client-n1", {}, "n1", "exec sleep 100000"),
            ("client-n2", {}, "n2", "exec sleep 100000"),
        ):
            container = {"name": "c", "image": IMAGE, "command": ["sh", "-c", script]}
            spec = {"nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 0}
            pods.append({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "labels": labels}, "spec": spec})
        made.apply(*pods)
        server.kubectl("wait", "pod", "--all", "--for=condition=Ready", "--timeout=60s", timeout_s=70)
        yield made


def test_near_endpoints_are_preferred_where_the_service_says_so(cluster):
    url = "http://{}/".format(cluster.service("near", trafficDistribution="PreferSameNode")["clusterIP"])
    for node in ("n1", "n2"):
        cluster.until_answers(f"client-{node}", url, {f"web-{node}"})
    # A node without one asks the others'.
    url = "http://{}/".format(cluster.service("far", selector={"app": "far"}, trafficDistribution="PreferSameNode")["clusterIP"])
    cluster.until_answers("client-n1", url, {"far"})
    both = "http://{}/".format(cluster.service("both")["clusterIP"])
    cluster.until_answers("client-n1", both, {"web-n1", "web-n2"})


def test_zones_are_preferred(cluster):
    for node in ("n1", "n2"):
        cluster.server.kubectl("label", "node", node, f"topology.kubernetes.io/zone=zone-{node}")
    spec = cluster.service("zonal", trafficDistribution="PreferSameZone")
    for node in ("n1", "n2"):
        cluster.until_answers(f"client-{node}", f"http://{spec['clusterIP']}/", {f"web-{node}"})


def test_the_internal_policy_local_stays_on_the_node(cluster):
    url = "http://{}/".format(cluster.service("inner", selector={"app": "far"}, internalTrafficPolicy="Local")["clusterIP"])
    cluster.until_answers("client-n2", url, {"far"})
    assert cluster.fetch("client-n1", url) == ""


def test_load_balancers_reach_nodes_with_endpoints_and_are_told_which_those_are(cluster):
    spec = cluster.service("outer", type="LoadBalancer", selector={"app": "far"}, externalTrafficPolicy="Local")
    first, second = cluster.server.node, cluster.second
    health, node_port = spec["healthCheckNodePort"], spec["ports"][0]["nodePort"]

    def ask(node):
        command = ["busybox", "wget", "-S", "-O", "-", f"http://{node.address}:{health}/healthz"]
        done = first.run(["timeout", "3", *command], check=False)
        return done.stdout + done.stderr

    cluster.server.until(lambda: '"localEndpoints":1' in ask(second), what="an endpoint on n2")
    cluster.server.until(lambda: "503" in ask(first), what="none on n1")
    # From outside of the pods' ranges, over the node that has one; the other drops.
    command = ["timeout", "3", "busybox", "wget", "-q", "-O", "-", f"http://{second.address}:{node_port}/"]
    cluster.server.until(lambda: first.run(command, check=False).stdout.strip() == "far", what="far by its node")


def test_addresses_of_load_balancers_have_ranges_and_modes(cluster):
    cluster.service("balanced", type="LoadBalancer", loadBalancerSourceRanges=["10.42.0.0/24"])
    ingress = [{"ip": "203.0.113.7"}, {"ip": "203.0.113.8", "ipMode": "Proxy"}]
    patch = json.dumps({"status": {"loadBalancer": {"ingress": ingress}}})
    cluster.server.kubectl("patch", "service", "balanced", "--subresource=status", "--type=merge", "-p", patch)
    cluster.until_answers("client-n1", "http://203.0.113.7/", {"web-n1", "web-n2"})
    assert cluster.fetch("client-n2", "http://203.0.113.7/") == ""  # n2's pods are in 10.42.1.0/24
    assert cluster.fetch("client-n1", "http://203.0.113.8/") == ""


def test_a_service_without_endpoints_refuses_at_once(cluster):
    address = cluster.service("nobody", selector={"app": "nobody"})["clusterIP"]
    command = ["exec", "client-n1", "--", "timeout", "10", "wget", "-O", "-", f"http://{address}/"]
    cluster.server.until(lambda: "refused" in cluster.server.kubectl(*command, check=False).stderr, what="a refusal")

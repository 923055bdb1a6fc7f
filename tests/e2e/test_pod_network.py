"""What pods ask of their network: ports of the host, bounded bandwidth; and another network instead of k3py's."""

from __future__ import annotations

import json

import pytest

from tests.support.cluster import Server
from tests.support.lab import Lab
from tests.support.lab.runtime import put_busybox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

IMAGE = "docker.io/library/busybox:local"
WEB = "mkdir /w; hostname >/w/index.html; exec httpd -f -p 8080 -h /w"


def apply(server, namespace, *pods):
    items = [{"kind": "Pod", "apiVersion": "v1", **pod} for pod in pods]
    server.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps({"kind": "List", "apiVersion": "v1", "items": items}))
    server.kubectl("wait", "pod", "--all", "-n", namespace, "--for=condition=Ready", "--timeout=60s", timeout_s=70)


def pod(name, *, annotations=None, ports=()):
    container = {"name": "c", "image": IMAGE, "command": ["sh", "-c", WEB], "ports": list(ports)}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    return {"metadata": {"name": name, "annotations": annotations or {}}, "spec": spec}


def fetch(server, address):
    done = server.node.run(["timeout", "3", "busybox", "wget", "-q", "-O", "-", f"http://{address}/"], check=False)
    return done.stdout.strip()


def test_ports_of_the_host_lead_to_their_pods_by_address(server, namespace):
    server.node.run(["ip", "address", "add", "192.168.77.200/24", "dev", "eth0"])
    everywhere = {"containerPort": 8080, "hostPort": 8981}
    one = {"containerPort": 8080, "hostPort": 8982, "hostIP": server.node.address}
    other = {"containerPort": 8080, "hostPort": 8982, "hostIP": "192.168.77.200"}
    apply(server, namespace, pod("everywhere", ports=[everywhere]), pod("one", ports=[one]), pod("other", ports=[other]))
    for address, name in (
        (f"{server.node.address}:8981", "everywhere"),
        ("192.168.77.200:8981", "everywhere"),
        (f"{server.node.address}:8982", "one"),
        ("192.168.77.200:8982", "other"),
    ):
        server.until(lambda address=address, name=name: fetch(server, address) == name, what=f"{name} at {address}")
    server.kubectl("delete", "pod", "everywhere", "-n", namespace, "--wait")
    server.until(lambda: not fetch(server, f"{server.node.address}:8981"), what="a closed port")


def test_annotations_bound_bandwidth_both_ways(server, namespace):
    bounds = {"kubernetes.io/ingress-bandwidth": "3M", "kubernetes.io/egress-bandwidth": "7M"}
    apply(server, namespace, pod("bounded", annotations=bounds))
    shapers = server.node.run(["tc", "qdisc", "show"]).stdout
    assert "rate 3Mbit" in shapers
    assert "rate 7Mbit" in shapers
    server.kubectl("delete", "pod", "bounded", "-n", namespace, "--wait")
    server.until(lambda: "tbf" not in server.node.run(["tc", "qdisc", "show"]).stdout, what="the end of its bounds")


def test_the_operators_names_and_those_of_nodes(server, namespace):
    apply(server, namespace, pod("client"))

    def look_up(name):
        return server.kubectl("exec", "client", "-n", namespace, "--", "nslookup", name, check=False).stdout

    assert server.node.address in look_up("n1.")
    hosts = "hosts {\n  192.0.2.9 printer.example\n  fallthrough\n}\n"
    metadata = {"name": "coredns-custom", "namespace": "kube-system"}
    custom = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": {"names.override": hosts}}
    server.kubectl("apply", "-f", "-", stdin=json.dumps(custom))
    server.until(lambda: "192.0.2.9" in look_up("printer.example."), what="the operator's name")
    server.kubectl("delete", "configmap", "coredns-custom", "-n", "kube-system")
    server.until(lambda: "192.0.2.9" not in look_up("printer.example."), what="its end")


def test_another_network_in_the_folder_wins():
    with Lab() as lab:
        node = lab.add_node("n1")
        put_busybox(node)
        folder = node.disk / "var/lib/k3py/agent/etc/cni/net.d"
        folder.mkdir(parents=True)
        ipam = {"type": "host-local", "subnet": "10.99.0.0/24", "routes": [{"dst": "0.0.0.0/0"}]}
        plugins = [{"type": "ptp", "ipam": ipam}]
        (folder / "50-other.conflist").write_text(json.dumps({"cniVersion": "0.4.0", "name": "other", "plugins": plugins}))
        server = Server(node, "--flannel-backend=none")
        server.start()
        try:
            server.wait_ready()
            server.until(lambda: server.get("serviceaccount", "default"), what="the default account")
            apply(server, "default", pod("web"))
            address = server.get("pod", "web")["status"]["podIP"]
            assert address.startswith("10.99.0.")
            server.until(lambda: fetch(server, f"{address}:8080") == "web", what="the pod")
        finally:
            server.kill()

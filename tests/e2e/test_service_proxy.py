"""Service addresses lead to real pods: rules of the planner in a real kernel."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from k3py.runtime.cri import CriRuntime
from tests.contract.test_runtime import container_config, sandbox_config
from tests.support.lab.node import PROJECT
from tests.support.lab.runtime import SOCKET, node_with_containerd

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

WGET = ["timeout", "3", "wget", "-O", "-"]  # wget -T dies by a signal in Debian's static busybox
VIP, PORT, NODE_PORT = "10.43.0.7", 80, 30080


class Proxy:
    """The proxy process in the node."""

    def __init__(self, node):
        self.process = node.popen(
            [sys.executable, "-m", "tests.support.lab.proxy", "10.42.0.0/16"],
            cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def apply(self, *ports):
        self.process.stdin.write(json.dumps(ports).encode() + b"\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"done\n"

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=10)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def node():
    with node_with_containerd() as made:
        yield made


@pytest.fixture
def proxy(node):
    made = Proxy(node)
    yield made
    made.apply()
    made.close()


@pytest.fixture
async def pods(node):
    """Two web servers and a client, as {name: (address, container)}."""
    runtime = CriRuntime(node.path(SOCKET))
    made = {}
    for name in ("a", "b", "client"):
        (node.shared / "logs/main").mkdir(parents=True, exist_ok=True)
        config = sandbox_config(node.shared, name)
        sandbox_id = await runtime.run_pod_sandbox(config)
        command = f"mkdir /w; echo {name} > /w/index.html; httpd -f -p 8080 -h /w" if name != "client" else "sleep 1000"
        container = container_config("sh", "-c", command, log_path=f"main/{name}.log")
        container_id = await runtime.create_container(sandbox_id, container, config)
        await runtime.start_container(container_id)
        status = await runtime.pod_sandbox_status(sandbox_id)
        made[name] = (status["network"]["ip"], container_id)
    yield runtime, made
    for sandbox in await runtime.list_pod_sandboxes():
        await runtime.stop_pod_sandbox(sandbox["id"])
        await runtime.remove_pod_sandbox(sandbox["id"])
    runtime.close()


def port(*addresses, **more):
    endpoints = [{"address": address, "port": 8080, "local": True} for address in addresses]
    base = {"namespace": "default", "service": "web", "name": "http", "protocol": "TCP", "port": PORT}
    return base | {"cluster_ips": [VIP], "endpoints": endpoints} | more


async def from_pod(runtime, container_id, url):
    result = await runtime.exec_sync(container_id, [*WGET, url], timeout_s=5)
    return result.stdout.decode().strip() if result.exit_code == 0 else result.stderr.decode().strip()


def from_node(node, url):
    done = node.run([*WGET[:2], "busybox", *WGET[2:], url], check=False)
    return done.stdout.strip() if done.returncode == 0 else done.stderr.strip()


async def test_services_from_pods_and_from_the_node(node, proxy, pods):
    runtime, made = pods
    (a, a_id), (b, _), (_, client) = made["a"], made["b"], made["client"]
    url = f"http://{VIP}:{PORT}/"

    proxy.apply(port(a, b, node_port=NODE_PORT))
    seen = {await from_pod(runtime, client, url) for _ in range(20)}
    assert seen == {"a", "b"}
    assert {from_node(node, url) for _ in range(20)} == {"a", "b"}
    assert {from_node(node, f"http://{node.address}:{NODE_PORT}/") for _ in range(20)} == {"a", "b"}
    assert await from_pod(runtime, client, f"http://{node.address}:{NODE_PORT}/") in ("a", "b")

    # An endpoint leaves; the other gets everything, also from itself (hairpin).
    proxy.apply(port(a, node_port=NODE_PORT))
    assert {await from_pod(runtime, client, url) for _ in range(10)} == {"a"}
    assert await from_pod(runtime, a_id, url) == "a"

    # The client stays where it was, until affinity ends.
    proxy.apply(port(a, b, session_affinity_s=3600))
    assert len({await from_pod(runtime, client, url) for _ in range(10)}) == 1
    first = await from_pod(runtime, client, url)
    proxy.apply(port(a, b, session_affinity_s=3600), port(a, service="other", cluster_ips=["10.43.0.8"]))
    assert {await from_pod(runtime, client, url) for _ in range(10)} == {first}

    # Nobody there: refused at once, and so is a port that the service does not have.
    proxy.apply(port(node_port=NODE_PORT))
    for answer in (
        await from_pod(runtime, client, url),
        await from_pod(runtime, client, f"http://{VIP}:81/"),
        from_node(node, url),
        from_node(node, f"http://{node.address}:{NODE_PORT}/"),
    ):
        assert "refused" in answer

    # The local policy keeps the client's address; external addresses lead in, too.
    proxy.apply(port(a, node_port=NODE_PORT, external_local=True, external_ips=["192.0.2.9"]))
    assert await from_pod(runtime, client, f"http://{node.address}:{NODE_PORT}/") == "a"
    assert await from_pod(runtime, client, "http://192.0.2.9/") == "a"
    assert from_node(node, "http://192.0.2.9/") == "a"

    # Without a local endpoint the node and its pods still get in; what may use a load balancer's address is listed.
    far = [{"address": a, "port": 8080, "local": False}]
    proxy.apply(port(node_port=NODE_PORT, external_local=True, external_ips=["192.0.2.9"], endpoints=far))
    assert from_node(node, f"http://{node.address}:{NODE_PORT}/") == "a"
    assert await from_pod(runtime, client, "http://192.0.2.9/") == "a"
    balanced = {"load_balancer_ips": ["192.0.2.10"], "load_balancer_ranges": ["10.42.0.0/16"]}
    proxy.apply(port(a, **balanced))
    assert await from_pod(runtime, client, "http://192.0.2.10/") == "a"
    proxy.apply(port(a, **balanced | {"load_balancer_ranges": ["198.51.100.0/24"]}))
    assert await from_pod(runtime, client, "http://192.0.2.10/") != "a"
    assert await from_pod(runtime, client, url) == "a"

    # Many endpoints, and none of the chains that few share.
    many = [{"address": a, "port": 8080, "local": True}, *({"address": f"10.42.9.{n}", "port": 1, "local": False} for n in range(1, 20))]
    proxy.apply(port(node_port=NODE_PORT, endpoints=many))
    proxy.apply(port(node_port=NODE_PORT, endpoints=many[:18]))
    assert "10.42.9.17 . 1" in node.run(["nft", "list", "table", "inet", "k3py"]).stdout
    assert "10.42.9.18 . 1" not in node.run(["nft", "list", "table", "inet", "k3py"]).stdout

    proxy.apply()
    assert node.run(["nft", "list", "map", "inet", "k3py", "service-ips4"]).stdout.count("goto") == 0


async def test_udp_follows_its_endpoint_although_the_kernel_remembers_the_old_one(node, proxy, pods):
    _, made = pods
    udp = {"name": "dns", "protocol": "UDP", "port": 53}
    first, second = ([{"address": made[name][0], "port": 5300, "local": True}] for name in ("a", "b"))
    proxy.apply(port() | udp | {"endpoints": first})
    node.run(["bash", "-c", f"exec 3<>/dev/udp/{VIP}/53; echo hi >&3"])
    assert f"src={made['a'][0]}" in flows(node)
    proxy.apply(port() | udp | {"endpoints": second})
    assert flows(node) == ""


def flows(node):
    return node.run(["conntrack", "-L", "-p", "udp", "--orig-port-dst", "53"]).stdout.strip()


async def test_host_ports_lead_to_their_pod(node, pods):
    runtime, _ = pods
    config = sandbox_config(node.shared, "hosted")
    config["port_mappings"] = [{"protocol": "TCP", "container_port": 8080, "host_port": 8888}]
    sandbox_id = await runtime.run_pod_sandbox(config)
    command = "mkdir /w; echo hosted > /w/index.html; httpd -f -p 8080 -h /w"
    container = container_config("sh", "-c", command, log_path="main/hosted.log")
    container_id = await runtime.create_container(sandbox_id, container, config)
    await runtime.start_container(container_id)
    assert from_node(node, f"http://{node.address}:8888/") == "hosted"


async def test_services_are_reached_from_a_node_without_a_default_route(node, proxy, pods):
    _, made = pods
    proxy.apply(port(made["a"][0]))
    node.run(["ip", "route", "del", "default"])
    code = (
        "import asyncio, pathlib; from k3py.network.service_route import ensure_service_route as e;"
        f"print([asyncio.run(e(ip=pathlib.Path('/usr/sbin/ip'), service_cidr='10.43.0.0/16', node_ip='{node.address}')) for _ in '12'])"
    )
    try:
        assert "unreachable" in from_node(node, f"http://{VIP}/")
        assert node.python("-c", code).stdout.strip() == "[True, False]"
        assert from_node(node, f"http://{VIP}/") == "a"
    finally:
        node.run(["ip", "route", "add", "default", "via", "192.168.77.1"])
        node.run(["ip", "route", "del", "10.43.0.0/16"])

"""A node whose kubelet nobody can dial (10250 is dropped, as behind NAT): logs, exec, attach, port-forward, metrics and proxy go through its tunnel."""

import subprocess

import pytest

from tests.support.cluster import KUBECONFIG, Server, start_agent
from tests.support.lab import Lab
from tests.support.lab.runtime import put_busybox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

IMAGE = "docker.io/library/busybox:local"
WALL = """
table inet wall {
  chain input {
    type filter hook input priority 0; policy accept;
    iifname "eth0" ct state established,related accept
    iifname "eth0" tcp flags syn drop
  }
}
"""
SCRIPT = "echo up; echo hello >/tmp/index.html; exec httpd -f -p 8080 -h /tmp"


@pytest.fixture(scope="module")
def walled():
    with Lab() as lab:
        first, second = lab.add_node("n1"), lab.add_node("n2")
        put_busybox(second)
        server = Server(first, "--egress-selector-mode=pod")
        server.start()
        server.wait_ready()
        second.run(["nft", "-f", "-"], input=WALL.encode())
        token = first.run(["cat", "/var/lib/k3py/server/node-token"]).stdout.strip()
        agent = start_agent(second, f"https://{first.address}:6443", token)
        try:
            server.until(lambda: server.kubectl("get", "nodes").stdout.count(" Ready ") == 2, what="two Ready nodes")
            server.kubectl("run", "web", f"--image={IMAGE}", "--overrides", '{"spec":{"nodeName":"n2"}}', "--", "sh", "-c", SCRIPT)
            server.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=60s", timeout_s=70)
            server.until(lambda: "a tunnel to a server stands" in (second.disk / "var/log/k3py.log").read_text(), what="a tunnel")
            yield server, second
        finally:
            agent.kill()
            agent.wait(timeout=30)
            server.kill()


def test_the_kubelet_cannot_be_dialled(walled):
    server, second = walled
    done = server.node.run(["timeout", "1", "bash", "-c", f"</dev/tcp/{second.address}/10250"], check=False)
    assert done.returncode == 124


def test_logs_exec_and_metrics(walled):
    server, _ = walled
    assert server.kubectl("logs", "web").stdout == "up\n"
    assert server.kubectl("exec", "web", "--", "hostname").stdout == "web\n"
    assert server.kubectl("exec", "-i", "web", "--", "cat", stdin="through\n").stdout == "through\n"
    assert len(server.kubectl("exec", "web", "--", "head", "-c", "3000000", "/dev/zero").stdout) == 3_000_000
    assert "node_cpu_usage_seconds_total" in server.kubectl("get", "--raw", "/api/v1/nodes/n2/proxy/metrics/resource").stdout
    server.until(lambda: "n2" in server.kubectl("top", "nodes").stdout, what="metrics of the node")


def test_port_forward(walled):
    server, _ = walled
    command = [server.kubectl_path, "port-forward", "pod/web", "18080:8080"]
    forward = server.node.popen(command, env={"KUBECONFIG": KUBECONFIG, "HOME": "/tmp"}, stdout=subprocess.PIPE)
    try:
        assert b"Forwarding" in forward.stdout.readline()
        assert server.node.run(["python3", "-c", "import urllib.request as r; print(r.urlopen('http://127.0.0.1:18080/').read())"]).stdout == "b'hello\\n'\n"
    finally:
        forward.kill()
        forward.wait(timeout=10)
        forward.stdout.close()


def test_the_proxy_to_a_pod_goes_through_its_node(walled):
    server, second = walled
    # The pod network between the machines is cut: only the tunnel is left.
    second.run(["nft", "add", "rule", "inet", "wall", "input", "iifname", "k3py.1", "drop"])
    assert server.kubectl("get", "--raw", "/api/v1/namespaces/default/pods/web:8080/proxy/").stdout == "hello\n"


def test_a_follower_of_a_log_and_others_do_not_wait_for_each_other(walled):
    server, _ = walled
    endless = server.node.popen(
        [server.kubectl_path, "exec", "web", "--", "cat", "/dev/zero"],
        env={"KUBECONFIG": KUBECONFIG, "HOME": "/tmp"},
        stdout=subprocess.PIPE,
    )
    try:
        assert endless.stdout.read(1) == b"\0"  # and nothing more is read
        assert server.kubectl("exec", "web", "--", "hostname").stdout == "web\n"
        assert server.kubectl("get", "--raw", "/healthz").stdout == "ok"
    finally:
        endless.kill()
        endless.wait(timeout=10)
        endless.stdout.close()

"""Two nodes: an agent joins, pods of both reach each other and services, logs and exec work, wrong tokens do not."""

import json
import sys

import pytest

from tests.support.cluster import running_pair, start_agent
from tests.support.lab.node import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

IMAGE = "docker.io/library/busybox:local"


def run_agent(node, server, token, *flags):
    (node.disk / "etc/k3py/token").write_text(token)
    command = [sys.executable, "-m", "k3py", "agent", f"--server={server}", "--token-file=/etc/k3py/token"]
    command += ["--lb-server-port=6454", *flags]  # the node's own agent has the usual one
    return node.run(command, cwd=PROJECT, check=False, timeout_s=30)


@pytest.fixture(scope="module")
def pair():
    with running_pair() as (server, second):
        yield server, second, server.url, server.token


@pytest.fixture(scope="module")
def pods(pair):
    server = pair[0]
    script = "hostname >/tmp/index.html; echo up; exec httpd -f -v -p 8080 -h /tmp"
    server.kubectl("create", "deployment", "web", f"--image={IMAGE}", "--replicas=4", "--", "sh", "-c", script)
    server.kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080")
    server.kubectl("rollout", "status", "deployment/web", "--timeout=60s", timeout_s=70)
    by_node = {}
    for one in server.get("pods", "-l", "app=web")["items"]:
        by_node.setdefault(one["spec"]["nodeName"], one)
    return by_node


def fetch(server, pod, address):
    done = server.kubectl(
        "exec", pod["metadata"]["name"], "--", "timeout", "3", "wget", "-q", "-O", "-", f"http://{address}/", check=False
    )
    return done.stdout.strip()


def test_pods_run_on_both_nodes_and_reach_each_other_by_address(pair, pods):
    server = pair[0]
    assert set(pods) == {"n1", "n2"}
    for here, there in (("n1", "n2"), ("n2", "n1")):
        target = pods[there]
        assert fetch(server, pods[here], f"{target['status']['podIP']}:8080") == target["metadata"]["name"]


def test_a_pod_sees_the_address_of_the_pod_that_asks(pair, pods):
    server = pair[0]
    fetch(server, pods["n1"], f"{pods['n2']['status']['podIP']}:8080")
    log = server.kubectl("logs", pods["n2"]["metadata"]["name"]).stdout
    assert f"[::ffff:{pods['n1']['status']['podIP']}]" in log


def test_a_service_is_reached_from_both_nodes(pair, pods):
    server = pair[0]
    address = server.get("service", "web")["spec"]["clusterIP"]
    names = {one["metadata"]["name"] for one in server.get("pods", "-l", "app=web")["items"]}
    for node in ("n1", "n2"):
        assert fetch(server, pods[node], address) in names


def test_a_claim_gets_a_folder_on_the_other_node(pair):
    server, second = pair[0], pair[1]
    claim = {
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    container = {"name": "c", "image": IMAGE, "command": ["sh", "-c", "echo hi > /data/file; sleep 3600"]}
    container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    spec = {"nodeSelector": {"kubernetes.io/hostname": "n2"}, "containers": [container], "volumes": volumes}
    pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "keeper"}, "spec": spec}
    for one in (claim, pod):
        server.kubectl("apply", "-f", "-", stdin=json.dumps(one))
    server.until(lambda: server.get("pod", "keeper")["status"]["phase"] == "Running", what="the pod with a claim")
    volume = server.get("pvc", "data")["spec"]["volumeName"]
    path = server.get("pv", volume)["spec"]["local"]["path"]
    server.until(lambda: second.run(["cat", f"{path}/file"], check=False).stdout == "hi\n", what="the pod's file")
    server.kubectl("delete", "pod/keeper", "pvc/data", "--wait=false", "--grace-period=0", "--force")
    server.until(
        lambda: not server.kubectl("get", "pv", volume, "--ignore-not-found").stdout.strip(), what="the volume's end"
    )
    assert second.run(["ls", "/var/lib/k3py/storage"]).stdout == ""


def test_a_load_balancer_is_reached_at_both_nodes(pair, pods):
    server, second = pair[0], pair[1]
    server.kubectl("expose", "deployment", "web", "--name=balanced", "--type=LoadBalancer", "--port=8088", "--target-port=8080")
    wanted = sorted((server.node.address, second.address))

    def addresses():
        status = server.get("service", "balanced")["status"]["loadBalancer"]
        return sorted(one["ip"] for one in status.get("ingress") or ())

    server.until(lambda: addresses() == wanted, what="both addresses in the status")
    names = {one["metadata"]["name"] for one in server.get("pods", "-l", "app=web")["items"]}
    for node, other in ((server.node, second), (second, server.node)):
        ask = ["timeout", "3", "wget", "-q", "-O", "-", f"http://{other.address}:8088/"]
        server.until(lambda node=node, ask=ask: node.run(ask, check=False).stdout.strip() in names, what="an answer")


def test_logs_and_exec_reach_the_other_node(pair, pods):
    server = pair[0]
    name = pods["n2"]["metadata"]["name"]
    assert server.kubectl("logs", name).stdout.startswith("up\n")
    assert server.kubectl("exec", name, "--", "hostname").stdout.strip() == name


def test_a_wrong_token_is_refused_and_not_shown(pair, tmp_path):
    _, node, url, token = pair
    wrong = token.rpartition(":")[0] + ":guess"
    done = run_agent(node, url, wrong, "--data-dir=/tmp/other", "--node-name=n3")
    assert done.returncode == 1
    assert "--token" in done.stderr
    assert "guess" not in done.stderr
    other = "K10" + "a" * 64 + "::server:guess"
    done = run_agent(node, url, other, "--data-dir=/tmp/other", "--node-name=n3")
    assert done.returncode == 2
    assert "another cluster" in done.stderr


def test_the_name_of_another_machine_is_refused(pair):
    _, node, url, token = pair
    done = run_agent(node, url, token, "--data-dir=/tmp/other", "--node-name=n1")
    assert (done.returncode, "another machine" in done.stderr) == (1, True)


def test_an_agent_needs_server_and_token(pair):
    _, node, _, _ = pair
    done = node.run([sys.executable, "-m", "k3py", "agent"], cwd=PROJECT, check=False)
    assert (done.returncode, "--server" in done.stderr) == (2, True)


def test_a_restarted_agent_adopts_its_pods(pair, pods):
    server, node, url, token = pair
    before = pods["n2"]["status"]["containerStatuses"][0]["containerID"]
    node.agent.kill()
    node.agent.wait(timeout=10)
    node.agent = start_agent(node, url, token)
    renewed = server.get("lease", "n2", "-n", "kube-node-lease")["spec"]["renewTime"]
    server.until(
        lambda: server.get("lease", "n2", "-n", "kube-node-lease")["spec"]["renewTime"] != renewed, what="a heartbeat"
    )
    found = server.get("pod", pods["n2"]["metadata"]["name"])["status"]["containerStatuses"][0]
    assert (found["containerID"], found["restartCount"]) == (before, 0)
    assert server.kubectl("exec", pods["n2"]["metadata"]["name"], "--", "hostname").stdout

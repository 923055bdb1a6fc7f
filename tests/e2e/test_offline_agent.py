"""A node that boots while its server is away starts its pods by itself; when the server is back, they go on and deletions are made up for."""

import json
import time

import pytest

from tests.support.cluster import Server, start_agent
from tests.support.lab import Lab
from tests.support.lab.runtime import put_busybox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

IMAGE = "docker.io/library/busybox:local"
STARTS = "var/log/starts"
SCRIPT = 'echo "$PASSWORD $(cat /config/greeting) $(wc -c </var/run/secrets/kubernetes.io/serviceaccount/token)" >>/starts/$NAME; sleep 100000'


def pod(name):
    variables = [
        {"name": "NAME", "value": name},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}},
    ]
    mounts = [{"name": "config", "mountPath": "/config"}, {"name": "starts", "mountPath": "/starts"}]
    container = {"name": "c", "image": IMAGE, "command": ["sh", "-c", SCRIPT], "env": variables, "volumeMounts": mounts}
    volumes = [
        {"name": "config", "configMap": {"name": "words"}},
        {"name": "starts", "hostPath": {"path": f"/{STARTS}", "type": "DirectoryOrCreate"}},
    ]
    spec = {"nodeName": "n2", "terminationGracePeriodSeconds": 1, "containers": [container], "volumes": volumes}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def starts(node, name):
    file = node.disk / STARTS / name
    return file.read_text().splitlines() if file.exists() else []


def wait(condition, what, node, limit_s=90):
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} was not reached:\n{(node.disk / 'var/log/k3py.log').read_text()[-6000:]}")
        time.sleep(0.1)
    return found


def kept(node, what):
    file = node.disk / f"var/lib/k3py/agent/last-known/kubelet/{what}.json"
    return json.loads(file.read_bytes())["items"] if file.exists() else []


def test_a_node_starts_its_pods_without_its_server_and_merges_when_it_is_back():
    with Lab() as lab:
        first, second = lab.add_node("n1"), lab.add_node("n2")
        put_busybox(second)
        server = Server(first)
        server.start()
        server.wait_ready()
        url = f"https://{first.address}:6443"
        token = first.run(["cat", "/var/lib/k3py/server/node-token"]).stdout.strip()
        agent = start_agent(second, url, token)
        server.until(lambda: server.kubectl("get", "nodes").stdout.count(" Ready ") == 2, what="two Ready nodes")
        server.kubectl("create", "secret", "generic", "login", "--from-literal=password=sesame")
        server.kubectl("create", "configmap", "words", "--from-literal=greeting=hello")
        for name in ("stays", "goes"):
            server.kubectl("apply", "-f", "-", stdin=json.dumps(pod(name)))
        server.kubectl("wait", "--for=condition=Ready", "pod/stays", "pod/goes", "--timeout=60s", timeout_s=70)
        wait(lambda: len(starts(second, "stays")) == len(starts(second, "goes")) == 1, "the first start", second)
        before = server.get("pod", "stays")
        wait(lambda: [one["status"].get("phase") for one in kept(second, "pods_spec.nodeName=n2")] == ["Running"] * 2, "kept pods", second)
        wait(lambda: "login" in [one["name"] for one in kept(second, "referenced")], "kept references", second)

        # The server learns of a deletion that the node, whose power is cut, cannot hear of; then the server's power is cut.
        second.kill()
        agent.wait(timeout=30)
        server.kubectl("delete", "pod", "goes", "--force", "--grace-period=0", "--wait=false")
        first.kill()
        server.process.wait(timeout=30)
        booted = time.monotonic()
        lab.restart_node(second)
        agent = start_agent(second, url, token)
        wait(lambda: len(starts(second, "stays")) == len(starts(second, "goes")) == 2, "a start without the server", second)
        print(f"pods run {time.monotonic() - booted:.1f} s after the node's start")
        words = starts(second, "stays")
        assert [line.rpartition(" ")[0] for line in words] == ["sesame hello"] * 2
        assert int(words[0].rpartition(" ")[2]) > 100
        assert words[1].endswith(" 0"), "a service account token was on disk"

        lab.restart_node(first)
        server.start()
        server.wait_ready(limit_s=120)

        def merged():
            found = server.get("pod", "stays")["status"]
            conditions = {one["type"]: one["status"] for one in found["conditions"]}
            status = found["containerStatuses"][0]
            return found if conditions["Ready"] == "True" and status["restartCount"] == 1 else None

        after = server.until(merged, limit_s=120, what="the status of the pod that started without the server")
        assert server.get("pod", "stays")["metadata"]["uid"] == before["metadata"]["uid"]
        assert after["containerStatuses"][0]["state"].get("running")
        assert "goes" not in server.kubectl("get", "pods", "-o", "name").stdout
        server.until(lambda: server.kubectl("get", "nodes").stdout.count(" Ready ") == 2, what="two Ready nodes again")
        read = ["exec", "stays", "--", "wc", "-c", "/var/run/secrets/kubernetes.io/serviceaccount/token"]
        server.until(lambda: int(server.kubectl(*read).stdout.split()[0]) > 100, what="a token")
        # Nothing was started for nothing, and what was deleted meanwhile is taken down.
        assert len(starts(second, "stays")) == 2
        wait(lambda: [one["metadata"]["name"] for one in kept(second, "pods_spec.nodeName=n2")] == ["stays"], "forgotten pod", second)
        wait(lambda: not second.run(["pgrep", "-f", "starts/goes"], check=False).stdout, "the end of the deleted pod", second)
        agent.kill()
        agent.wait(timeout=30)
        server.kill()

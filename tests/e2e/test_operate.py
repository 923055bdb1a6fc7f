"""What an operator looks at on a machine that runs: `k3py status`, `k3py doctor`."""

from __future__ import annotations

import json
import sys

import pytest

from tests.support.lab.node import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

POD = """
apiVersion: v1
kind: Pod
metadata: {name: big}
spec:
  containers: [{name: c, image: docker.io/library/busybox:local, command: [sleep, "3600"], resources: {requests: {cpu: "1000"}}}]
"""


def k3py(server, *arguments, check=True):
    environment = {"KUBECONFIG": "/etc/k3py/k3py.yaml"}
    return server.node.run([sys.executable, "-m", "k3py", *arguments], check=check, env=environment, cwd=PROJECT)


def test_status_shows_servers_nodes_and_why_a_pod_waits(server, namespace):
    server.kubectl("apply", "-n", namespace, "-f", "-", stdin=POD)
    server.until(lambda: "Insufficient cpu" in json.dumps(server.get("pod", "big", "-n", namespace)["status"]))
    status = json.loads(k3py(server, "status", "-o", "json").stdout)
    assert status["ready"] is True
    assert [(one["node"], one["ready"]) for one in status["servers"]] == [("n1", True)]
    assert status["nodes"][0]["state"] == "Ready"
    (big,) = [one for one in status["waiting"] if one["object"] == "pod/big"]
    assert "Insufficient cpu" in big["why"]
    screen = k3py(server, "status").stdout
    assert "\x1b" not in screen  # no terminal, no colours
    assert f"{namespace}/pod/big" in screen


def test_doctor_knows_that_k3py_runs_and_answers(server):
    found = json.loads(k3py(server, "doctor", "-o", "json", check=False).stdout)["findings"]
    by_check = {one["check"]: one for one in found}
    assert by_check["server"]["found"] == "https://127.0.0.1:6443 answers"
    assert "k3py runs (process" in by_check["ports"]["found"]
    # What k3py sets up is right; memory and disk are the test machine's.
    for check in ("kernel", "cgroups", "programs", "certificates", "datastore", "permissions"):
        assert by_check[check]["level"] == "ok", by_check[check]


def test_a_support_bundle_of_a_running_server_holds_none_of_its_secrets(server):
    said = k3py(server, "support-bundle", "-o", "/tmp/bundle.tar.gz").stdout
    assert said.startswith("/tmp/bundle.tar.gz: ")
    text = server.node.run(["/bin/sh", "-c", "tar xzOf /tmp/bundle.tar.gz"]).stdout
    assert "cluster" in server.node.run(["tar", "tzf", "/tmp/bundle.tar.gz"]).stdout
    keys = "cat /var/lib/k3py/server/token /etc/k3py/node/password /var/lib/k3py/server/tls/*.key /var/lib/k3py/agent/*.key /etc/k3py/k3py.yaml"
    secrets = [line for line in server.node.run(["/bin/sh", "-c", keys]).stdout.split() if len(line) > 30 and not line.startswith("-")]
    assert len(secrets) > 20
    certificates = server.node.run(["/bin/sh", "-c", "cat /var/lib/k3py/server/tls/*.crt"]).stdout
    shown = [one for one in secrets if one in text and one not in certificates]
    assert shown == []
    again = k3py(server, "support-bundle", "-o", "/tmp/bundle.tar.gz", check=False)
    assert (again.returncode, again.stderr) == (1, "k3py: --output: /tmp/bundle.tar.gz exists already\n")


def figures(server, *arguments):
    done = k3py(server, "bench", *arguments, "-o", "json")
    return {one["name"]: one["value"] for one in json.loads(done.stdout)["figures"]}


def test_benchmarks_measure_a_running_server_and_leave_nothing(server):
    found = figures(server, "api", "--requests=60", "--clients=4")
    for name in ("create, 4 clients", "get, 4 clients", "update, 4 clients", "list of 80", "watch: change to event", "delete, 4 clients"):
        assert found[name] > 0
    found = figures(server, "storm", "--pods=3", "--one-by-one=1")
    assert found["3 pods at once, all running after"] > 0
    assert found["pod start, one after another"] > 0
    found = figures(server, "idle", "--seconds=1")
    assert 20 < found["memory, resident"] < 1000
    found = figures(server, "wear", "--seconds=2")
    assert found["one change a second: written by the processes"] > 0
    assert "idle: written by the processes" in found
    server.until(lambda: "k3py-bench" not in server.kubectl("get", "namespaces").stdout, what="the end of the benchmarks' namespaces")
    refused = k3py(server, "bench", "idle", "--process=no-such-thing", check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)

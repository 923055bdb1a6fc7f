"""Devices of a plugin and CPUs of their own, in real containers; the kubelet is set up by flags."""

import json
import sys

import pytest

from tests.support.cluster import running_server
from tests.support.lab.node import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

IMAGE = "docker.io/library/busybox:local"
TOY = "example.com/toy"


@pytest.fixture(scope="module")
def server():
    flags = ("--kubelet-arg=cpu-manager-policy=static", "--kubelet-arg=reserved-cpus=0", "--kubelet-arg=max-pods=20")
    with running_server(*flags) as running:
        yield running


def run(server, name, resources):
    script = 'echo "$TOYS" $(cat /toys/* 2>/dev/null) $(ls /dev/toy 2>/dev/null); grep Cpus_allowed_list /proc/self/status; sleep 100000'
    container = {"name": "c", "image": IMAGE, "command": ["sh", "-c", script], "resources": resources}
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container]}
    server.kubectl("create", "-f", "-", stdin=json.dumps({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name}, "spec": spec}))


def log(server, name):
    return server.until(lambda: "Cpus" in (text := server.kubectl("logs", name).stdout) and text, what=f"what {name} says")


def test_a_container_gets_the_devices_of_a_plugin(server):
    assert server.get("node", "n1")["status"]["capacity"]["pods"] == "20"
    command = [sys.executable, "-m", "tests.support.device_plugin", f"--resource={TOY}", "--count=2", "--folder=/opt/toys"]
    plugin = server.node.popen(command, cwd=PROJECT)
    try:
        server.until(lambda: server.get("node", "n1")["status"]["allocatable"].get(TOY) == "2", what="two toys")
        run(server, "first", {"limits": {TOY: "1"}})
        assert log(server, "first").splitlines()[0] == "toy-0 toy 0 /dev/toy"
        run(server, "both", {"limits": {TOY: "2"}})
        server.until(lambda: "Insufficient example.com/toy" in json.dumps(server.get("pod", "both")["status"]), what="a pod that waits")
        server.kubectl("delete", "pod", "first")
        assert log(server, "both").splitlines()[0] == "toy-0,toy-1 toy 0 toy 1 /dev/toy"
    finally:
        plugin.kill()
        plugin.wait(timeout=30)
    server.until(lambda: server.get("node", "n1")["status"]["allocatable"].get(TOY) == "0", what="no toys")
    server.kubectl("delete", "pod", "both")


def test_a_guaranteed_pod_has_its_cpu_alone(server):
    def cpus(name):
        read = ["exec", name, "--", "grep", "Cpus_allowed_list", "/proc/1/status"]
        return server.kubectl(*read).stdout.split()[1]

    run(server, "shares", {})
    log(server, "shares")
    every = cpus("shares")
    amounts = {"cpu": "1", "memory": "16Mi"}
    run(server, "alone", {"requests": amounts, "limits": amounts})
    log(server, "alone")
    own = cpus("alone")
    assert own.isdigit()
    assert own != "0"
    server.until(lambda: cpus("shares") != every, what="the shared CPUs without that one")
    server.kubectl("delete", "pod", "alone")
    server.until(lambda: cpus("shares") == every, what="the shared CPUs with that one again")

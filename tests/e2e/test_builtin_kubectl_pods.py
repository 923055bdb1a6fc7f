"""The built-in kubectl with real pods: rollouts, copies, forwarded ports, attaching, draining."""

from __future__ import annotations

import re
import sys
import time

import pytest

from tests.support.lab.node import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

IMAGE = "docker.io/library/busybox:local"


@pytest.fixture
def kubectl(server, namespace):
    def run(*arguments, check=True, stdin=None, timeout_s=90):
        environment = {"PATH": "/nowhere:/bin:/usr/bin", "KUBECONFIG": "/etc/k3py/k3py.yaml"}
        command = [sys.executable, "-c", _BUILTIN, "-n", namespace, *arguments]
        data = stdin.encode() if stdin is not None else None
        return server.node.run(command, check=check, env=environment, cwd=PROJECT, input=data, timeout_s=timeout_s)

    return run


# Even where the machine has a kubectl.
_BUILTIN = """
import asyncio, sys
from pathlib import Path
from k3py.cli.kubectl.command_line import run_builtin
sys.exit(asyncio.run(run_builtin(sys.argv[1:], Path("/etc/k3py/k3py.yaml"))))
"""


def test_a_rollout_is_followed_noted_and_undone(kubectl):
    kubectl("create", "deployment", "web", f"--image={IMAGE}", "--replicas=2", "--", "sleep", "3600")
    said = kubectl("rollout", "status", "deployment/web", "--timeout=60s").stdout
    assert said.splitlines()[-1] == 'deployment "web" successfully rolled out'
    kubectl("set", "env", "deployment/web", "A=b")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    history = kubectl("rollout", "history", "deployment/web").stdout
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["1", "2"]
    assert "A:\tb" in kubectl("rollout", "history", "deployment/web", "--revision=2").stdout
    assert kubectl("rollout", "undo", "deployment/web").stdout == "deployment.apps/web rolled back\n"
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert kubectl("get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].env}").stdout == ""
    assert kubectl("rollout", "undo", "deployment/web", "--to-revision=3").stdout.startswith("deployment.apps/web skipped rollback")


def test_files_go_into_a_container_and_come_back(kubectl, server):
    kubectl("run", "files", f"--image={IMAGE}", "--command", "--", "sleep", "3600")
    kubectl("wait", "--for=condition=Ready", "pod/files", "--timeout=60s")
    script = "mkdir -p /tmp/in/deep && echo one >/tmp/in/a && head -c 300000 /dev/urandom >/tmp/in/deep/b && rm -rf /tmp/out"
    server.node.run(["/bin/sh", "-c", script])
    kubectl("cp", "/tmp/in", "files:/tmp/there")
    assert kubectl("exec", "files", "--", "cat", "/tmp/there/a").stdout == "one\n"
    kubectl("cp", "files:/tmp/there", "/tmp/out")
    server.node.run(["diff", "-r", "/tmp/in", "/tmp/out"])
    missing = kubectl("cp", "files:/nowhere", "/tmp/none", check=False)
    assert missing.returncode != 0
    assert "nowhere" in missing.stderr


def test_a_port_is_forwarded(kubectl, server, namespace):
    kubectl("run", "web", f"--image={IMAGE}", "--port=8080", "--command", "--", "httpd", "-f", "-p", "8080", "-h", "/etc")
    kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
    command = [sys.executable, "-u", "-c", _BUILTIN, "-n", namespace, "port-forward", "pod/web", ":8080"]
    with (server.node.disk / "tmp-forward.log").open("w+") as log:
        process = server.node.popen(command, cwd=PROJECT, stdout=log, stderr=log)
        try:
            found = None
            deadline = time.monotonic() + 60
            while found is None and time.monotonic() < deadline:
                time.sleep(0.1)
                found = re.search(r"Forwarding from 127\.0\.0\.1:(\d+) -> 8080", (server.node.disk / "tmp-forward.log").read_text())
            assert found, (server.node.disk / "tmp-forward.log").read_text()
            for _ in range(3):
                answer = server.node.run(["busybox", "wget", "-q", "-O-", f"http://127.0.0.1:{found[1]}/hostname"])
                assert answer.stdout == "web\n"
        finally:
            process.kill()
            process.wait(20)


def test_run_attaches_and_removes_the_pod_at_the_end(kubectl):
    said = kubectl("run", "once", f"--image={IMAGE}", "--restart=Never", "-i", "--rm", "--", "cat", stdin="hello\n")
    assert said.stdout.splitlines()[0] == "hello"
    assert "deleted" in said.stdout
    assert kubectl("get", "pod", "once", "--ignore-not-found").stdout == ""
    failed = kubectl("run", "fails", f"--image={IMAGE}", "--restart=Never", "-i", "--rm", "--", "sh", "-c", "cat; exit 3", stdin="", check=False)
    assert failed.returncode == 3


def test_draining_evicts_and_leaves_what_it_must(kubectl, server):
    kubectl("create", "deployment", "web", f"--image={IMAGE}", "--", "sleep", "3600")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    try:
        said = kubectl("drain", "n1", "--pod-selector=app=web", "--grace-period=1", "--timeout=60s")
        assert said.stdout.splitlines()[0] == "node/n1 cordoned"
        assert said.stdout.splitlines()[-1] == "node/n1 drained"
        assert re.search(r"^pod/web-\S+ evicted$", said.stdout, re.MULTILINE)
        assert kubectl("get", "nodes").stdout.splitlines()[1].split()[1] == "Ready,SchedulingDisabled"
    finally:
        assert kubectl("uncordon", "n1").stdout == "node/n1 uncordoned\n"
    kubectl("run", "alone", f"--image={IMAGE}", "--command", "--", "sleep", "3600")
    kubectl("wait", "--for=condition=Ready", "pod/alone", "--timeout=60s")
    try:
        refused = kubectl("drain", "n1", "--pod-selector=run=alone", check=False)
        assert refused.returncode == 1
        assert "Pods that declare no controller (use --force to override)" in refused.stderr
    finally:
        kubectl("uncordon", "n1")


def test_top_shows_what_is_used(kubectl, server):
    server.until(lambda: kubectl("top", "node", check=False).returncode == 0, what="metrics of the node")
    title, node = kubectl("top", "node").stdout.splitlines()
    assert title.split() == ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]
    assert re.fullmatch(r"n1 +\d+m +\d+% +\d+Mi +\d+% *", node)

"""`k3py kubectl` without a kubectl on the PATH, as a process, against a whole API server."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from k3py.pki.authority import make_authority
from tests.support.api_server_process import ApiServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: one, labels: {app: web}}
data: {a: "1"}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: two}}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: web}
  spec:
    selector: {matchLabels: {app: web}}
    template:
      metadata: {labels: {app: web}}
      spec: {containers: [{name: web, image: nginx}]}
"""


class Kubectl:
    def __init__(self, folder: Path, kubeconfig: Path) -> None:
        self.folder = folder
        self.environment = {"PATH": "/nowhere", "HOME": str(folder), "KUBECONFIG": str(kubeconfig)}

    def popen(self, *arguments: str, **options) -> subprocess.Popen:
        command = [sys.executable, "-m", "k3py", "kubectl", *arguments]
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
        )

    def run(self, *arguments: str, stdin: str = "", code: int = 0) -> str:
        """Return standard output, or standard error when it is to fail."""
        with self.popen(*arguments, stdin=subprocess.PIPE) as process:
            out, err = process.communicate(stdin, timeout=30)
        assert process.returncode == code, f"{arguments}: {out}{err}"
        if code:
            assert out == ""
            assert err.count("\n") == 1, err
            return err
        self.err = err
        return out


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ApiServerProcess(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
def kubectl(server, tmp_path, request):
    namespace = request.node.name.removeprefix("test_").replace("_", "-")[:50].strip("-")
    kubectl = Kubectl(tmp_path, server.kubeconfig)
    kubectl.run("apply", "-f", "-", stdin=f"{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}")
    document = yaml.safe_load(server.kubeconfig.read_text())
    document["contexts"][0]["context"]["namespace"] = namespace
    own = tmp_path / "kubeconfig"
    own.write_text(yaml.safe_dump(document))
    kubectl.environment["KUBECONFIG"] = str(own)
    kubectl.namespace = namespace
    return kubectl


@pytest.fixture
def filled(kubectl):
    said = kubectl.run("apply", "-f", "-", stdin=MANIFESTS)
    assert said.splitlines() == [
        "configmap/one created",
        "configmap/two created",
        "deployment.apps/web created",
    ]
    return kubectl


def test_tables_json_yaml_and_names(filled):
    table = filled.run("get", "configmaps").splitlines()
    assert table[0].split() == ["NAME", "DATA", "AGE"]
    assert [line.split()[:2] for line in table[1:]] == [["one", "1"], ["two", "0"]]
    assert filled.run("get", "cm/one", "deploy/web", "-o", "name") == "configmap/one\ndeployment.apps/web\n"
    assert json.loads(filled.run("get", "cm", "one", "-o", "json"))["data"] == {"a": "1"}
    assert yaml.safe_load(filled.run("get", "cm", "one", "-o", "yaml"))["kind"] == "ConfigMap"
    both = json.loads(filled.run("get", "cm,deploy", "-o", "json"))
    assert (both["kind"], len(both["items"])) == ("List", 3)
    assert "CONTAINERS" in filled.run("get", "deployments.apps", "-o", "wide").splitlines()[0]
    assert filled.run("get", "cm", "-l", "app=web", "--no-headers").split()[0] == "one"
    assert filled.run("get", "--raw", "/readyz") == "ok"


def test_namespaces_are_chosen_before_and_behind_the_command(filled):
    everywhere = filled.run("get", "cm", "-A").splitlines()
    assert everywhere[0].split()[0] == "NAMESPACE"
    assert any(line.split()[:2] == [filled.namespace, "one"] for line in everywhere)
    assert filled.run("-n", "default", "get", "deploy") == ""
    assert filled.err == "No resources found in default namespace.\n"
    assert "one" in filled.run("get", "cm", "-n", filled.namespace)
    assert filled.run("get", "ns", filled.namespace, "-o", "name") == f"namespace/{filled.namespace}\n"


def test_a_watch_shows_the_table_and_then_a_line_for_each_change(filled):
    with filled.popen("get", "cm", "-w") as watch:
        first = [watch.stdout.readline().split()[0] for _ in range(3)]
        assert first == ["NAME", "one", "two"]
        filled.run("apply", "-f", "-", stdin="{apiVersion: v1, kind: ConfigMap, metadata: {name: three}}")
        assert watch.stdout.readline().split()[:2] == ["three", "0"]
        watch.kill()


def test_deleting(filled):
    namespace = filled.namespace
    assert filled.run("delete", "cm", "one") == f'configmap "one" deleted from {namespace} namespace\n'
    assert filled.run("delete", "cm", "one", "--ignore-not-found") == ""
    assert filled.run("delete", "-f", "-", stdin="{apiVersion: v1, kind: ConfigMap, metadata: {name: two}}")
    filled.run("apply", "-f", "-", stdin=MANIFESTS)
    assert filled.run("delete", "cm", "-l", "app=web") == f'configmap "one" deleted from {namespace} namespace\n'
    assert "two" in filled.run("delete", "cm", "--all")
    assert filled.run("get", "cm", "-o", "name") == ""
    said = filled.run("delete", "cm", code=2)
    assert said == "error: resource(s) were provided, but no name was specified\n"


def test_describe_hides_what_secrets_hold(kubectl):
    secret = "{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {password: hunter2}}"
    kubectl.run("apply", "-f", "-", stdin=secret)
    said = kubectl.run("describe", "secret", "s")
    assert "password: " in said
    assert "hunter2" not in said
    assert "aHVudGVyMg" not in said
    assert said.endswith("Events: <none>\n")


def test_waiting(filled):
    filled.run("wait", "--for=create", "cm/one", "--timeout=5s")
    late = filled.run("wait", "--for=condition=Available", "deploy/web", "--timeout=1s", code=1)
    assert late == "error: timed out waiting for the condition on deployments/web\n"
    with filled.popen("wait", "--for=delete", "cm/one", "--timeout=20s") as wait:
        filled.run("delete", "cm", "one")
        assert wait.wait(20) == 0
    said = filled.run("wait", "--for=x", "cm/two", code=2)
    assert said.startswith("error: --for: 'x': must be condition=NAME")
    assert filled.run("wait", "--for=create", "cm/two", "--timeout=soon", code=2).startswith("error: --timeout: 'soon'")


def test_a_manifest_that_the_server_refuses_names_the_field(kubectl):
    wrong = "{apiVersion: v1, kind: ConfigMap, metadata: {name: A_B}}"
    said = kubectl.run("apply", "-f", "-", stdin=wrong, code=1)
    assert said.startswith('The ConfigMap "A_B" is invalid: metadata.name: Invalid value: "A_B"')


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["get", "nonsense"], 1, 'error: the server doesn\'t have a resource type "nonsense"'),
        (["get", "cm", "none"], 1, 'Error from server (NotFound): configmaps "none" not found'),
        (["logs", "none"], 1, 'error: error from server (NotFound): pods "none" not found in namespace "default"'),
        (["exec", "none"], 2, "error: you must specify at least one command for the container"),
        (["get"], 2, "error: You must specify the type of resource"),
        (["frobnicate"], 2, "error: argument command: invalid choice: 'frobnicate'"),
        (["apply", "-f", "/nowhere.yaml"], 2, "error: --filename: /nowhere.yaml: cannot be read"),
        (["--kubeconfig=/nowhere", "get", "cm"], 1, "error: kubeconfig /nowhere: No such file or directory; start k3py"),
    ],
)
def test_failures_are_one_line_in_kubectls_words(server, tmp_path, arguments, code, message):
    assert Kubectl(tmp_path, server.kubeconfig).run(*arguments, code=code).startswith(message)


def test_wrong_manifests_are_told(server, tmp_path):
    kubectl = Kubectl(tmp_path, server.kubeconfig)
    for text, message in (
        ("", "standard input: holds no objects"),
        ("{", "standard input: not valid YAML"),
        ("a: 1", "standard input: every document must have apiVersion and kind"),
        ("{apiVersion: v1, kind: ConfigMap}", "standard input: ConfigMap: metadata.name: must be given"),
    ):
        said = kubectl.run("apply", "-f", "-", stdin=text, code=2)
        assert message.removeprefix("standard input: ") in said
    said = kubectl.run("apply", "-f", "-", stdin="{apiVersion: v9, kind: Zoo, metadata: {name: a}}", code=1)
    assert said == 'error: no matches for kind "Zoo" in version "v9"\n'


def test_a_server_that_cannot_be_reached_is_named(server, tmp_path):
    document = yaml.safe_load(server.kubeconfig.read_text())
    cluster = document["clusters"][0]["cluster"]
    changed = tmp_path / "changed"
    kubectl = Kubectl(tmp_path, changed)
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    right = cluster["server"]
    cluster["server"] = f"https://127.0.0.1:{closed}"
    changed.write_text(yaml.safe_dump(document))
    said = kubectl.run("get", "cm", code=1)
    assert said == f"The connection to the server 127.0.0.1:{closed} was refused - did you specify the right host or port?\n"
    cluster["server"] = "https://nowhere.invalid:6443"
    changed.write_text(yaml.safe_dump(document))
    assert kubectl.run("get", "cm", code=1).startswith("Unable to connect to the server nowhere.invalid:6443: ")
    cluster |= {"server": right, "certificate-authority-data": base64.b64encode(make_authority("other").certificate).decode()}
    cluster.pop("certificate-authority", None)
    changed.write_text(yaml.safe_dump(document))
    said = kubectl.run("get", "cm", code=1)
    host = right.removeprefix("https://")
    assert said.startswith(f"Unable to connect to the server: tls: failed to verify certificate of {host}: ")


def test_version_names_both_sides(server, tmp_path):
    client, remote = Kubectl(tmp_path, server.kubeconfig).run("version").splitlines()
    assert client.startswith("Client Version: v1.35.")
    assert remote.startswith("Server Version: v1.35.")


def test_output_that_nobody_reads_any_more_is_no_failure_to_tell(filled):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "k3py", "kubectl", "get", "cm", "-o", "json"]
    done = subprocess.run(command, cwd=ROOT, env=filled.environment, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_kubectl_on_the_path_is_preferred_and_gets_the_kubeconfig(tmp_path):
    other = tmp_path / "bin/kubectl"
    other.parent.mkdir()
    other.write_text('#!/bin/sh\necho "$KUBECONFIG $*"\n')
    other.chmod(0o755)
    kubectl = Kubectl(tmp_path, tmp_path / "x")
    kubectl.environment["PATH"] = f"{other.parent}:/bin"
    assert kubectl.run("get", "pods") == f"{tmp_path}/x get pods\n"
    del kubectl.environment["KUBECONFIG"]
    assert kubectl.run("get", "pods") == "/etc/k3py/k3py.yaml get pods\n"

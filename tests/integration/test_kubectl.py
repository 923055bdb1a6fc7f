"""The real kubectl against a whole API server on the memory backend."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from tests.support.api_server_process import ApiServerProcess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed"),
]

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "nginx:1.27", ports: [{containerPort: 80}]}
"""


class Kubectl:
    def __init__(self, server: ApiServerProcess, namespace: str) -> None:
        self._server = server
        self.namespace = namespace
        self._environment = {**os.environ, "HOME": str(server.folder), "KUBECONFIG": str(server.kubeconfig)}

    def run(self, *arguments: str, stdin: str = "", fails: bool = False, **environment: str) -> str:
        done = subprocess.run(
            ["kubectl", "-n", self.namespace, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env={**self._environment, **environment},
            timeout=60,
        )
        assert (done.returncode != 0) == fails, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stderr if fails else done.stdout

    def get(self, *arguments: str) -> dict:
        return json.loads(self.run("get", *arguments, "-o", "json"))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ApiServerProcess(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
def kubectl(server, request):
    namespace = request.node.name.removeprefix("test_").replace("_", "-")[:50].strip("-")
    kubectl = Kubectl(server, namespace)
    kubectl.run("create", "namespace", namespace)
    return kubectl


def test_version_and_cluster_info(kubectl):
    assert '"minor": "35"' in kubectl.run("version", "-o", "json")
    assert "is running at" in kubectl.run("cluster-info")


def test_api_resources_and_versions(kubectl):
    resources = kubectl.run("api-resources", "--no-headers")
    for line in ("pods", "deployments", "configmaps", "nodes"):
        assert any(one.startswith(line) for one in resources.splitlines())
    assert "apps/v1" in kubectl.run("api-versions").split()


def test_create_from_arguments_sends_protobuf(kubectl):
    kubectl.run("create", "configmap", "settings", "--from-literal=color=red")
    kubectl.run("create", "secret", "generic", "password", "--from-literal=p=w")
    kubectl.run("create", "serviceaccount", "robot")
    kubectl.run("create", "role", "reader", "--verb=get", "--resource=pods")
    kubectl.run("create", "rolebinding", "read", "--role=reader", "--serviceaccount=default:robot")
    kubectl.run("create", "deployment", "web", "--image=nginx")
    assert kubectl.get("configmap", "settings")["data"] == {"color": "red"}
    assert kubectl.get("deployment", "web")["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx"


def test_get_prints_the_columns_of_the_kind(kubectl):
    kubectl.run("apply", "-f", "-", stdin=DEPLOYMENT)
    header, row = kubectl.run("get", "deployments").splitlines()
    assert header.split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert row.split()[:4] == ["web", "0/2", "0", "0"]
    wide = kubectl.run("get", "deployments", "-o", "wide").splitlines()[0]
    assert wide.split()[-3:] == ["CONTAINERS", "IMAGES", "SELECTOR"]
    assert kubectl.run("get", "deployments", "-o", "name") == "deployment.apps/web\n"
    assert "No resources found" in subprocess.run(
        ["kubectl", "--kubeconfig", kubectl._environment["KUBECONFIG"], "get", "replicasets", "-n", "default"],
        capture_output=True,
        text=True,
    ).stderr


def test_apply_again_changes_what_changed(kubectl):
    assert "created" in kubectl.run("apply", "-f", "-", stdin=DEPLOYMENT)
    assert "unchanged" in kubectl.run("apply", "-f", "-", stdin=DEPLOYMENT)
    changed = DEPLOYMENT.replace("nginx:1.27", "nginx:1.28")
    assert "configured" in kubectl.run("apply", "-f", "-", stdin=changed)
    deployment = kubectl.get("deployment", "web")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:1.28"
    assert deployment["metadata"]["generation"] == 2


def test_server_side_apply_and_its_conflict(kubectl):
    kubectl.run("apply", "--server-side", "-f", "-", stdin=DEPLOYMENT)
    changed = DEPLOYMENT.replace("replicas: 2", "replicas: 3")
    fault = kubectl.run(
        "apply", "--server-side", "--field-manager=other", "-f", "-", stdin=changed, fails=True
    )
    assert "conflict" in fault
    kubectl.run(
        "apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-", stdin=changed
    )
    assert kubectl.get("deployment", "web")["spec"]["replicas"] == 3


def test_diff_says_what_apply_would_change(kubectl):
    kubectl.run("apply", "-f", "-", stdin=DEPLOYMENT)
    done = subprocess.run(
        ["kubectl", "-n", kubectl.namespace, "diff", "-f", "-"],
        input=DEPLOYMENT.replace("replicas: 2", "replicas: 4"),
        capture_output=True,
        text=True,
        env=kubectl._environment,
    )
    assert done.returncode == 1, done.stderr
    assert "+  replicas: 4" in done.stdout


def test_strict_validation_finds_unknown_fields(kubectl):
    fault = kubectl.run("apply", "-f", "-", stdin=DEPLOYMENT.replace("replicas", "replicaz"), fails=True)
    assert 'unknown field "spec.replicaz"' in fault


def test_patch_label_annotate_scale_and_set_image(kubectl):
    kubectl.run("apply", "-f", "-", stdin=DEPLOYMENT)
    kubectl.run("patch", "deployment", "web", "-p", '{"spec":{"paused":true}}')
    kubectl.run("patch", "deployment", "web", "--type=merge", "-p", '{"spec":{"minReadySeconds":5}}')
    kubectl.run(
        "patch", "deployment", "web", "--type=json", "-p", '[{"op":"remove","path":"/spec/minReadySeconds"}]'
    )
    kubectl.run("label", "deployment", "web", "tier=front")
    kubectl.run("annotate", "deployment", "web", "note=x")
    kubectl.run("scale", "deployment", "web", "--replicas=5")
    kubectl.run("set", "image", "deployment/web", "web=nginx:2")
    deployment = kubectl.get("deployment", "web")
    assert deployment["metadata"]["labels"] == {"app": "web", "tier": "front"}
    assert deployment["metadata"]["annotations"]["note"] == "x"
    assert deployment["spec"]["replicas"] == 5
    assert deployment["spec"]["paused"] is True
    assert "minReadySeconds" not in deployment["spec"]
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:2"


def test_edit(kubectl):
    kubectl.run("create", "configmap", "settings", "--from-literal=color=red")
    kubectl.run("edit", "configmap", "settings", KUBE_EDITOR="sed -i s/red/blue/")
    assert kubectl.get("configmap", "settings")["data"] == {"color": "blue"}


def test_replace_and_delete(kubectl):
    kubectl.run("create", "configmap", "settings", "--from-literal=a=1")
    settings = kubectl.get("configmap", "settings")
    settings["data"] = {"b": "2"}
    kubectl.run("replace", "-f", "-", stdin=json.dumps(settings))
    assert kubectl.get("configmap", "settings")["data"] == {"b": "2"}
    kubectl.run("delete", "configmap", "settings")
    assert "NotFound" in kubectl.run("get", "configmap", "settings", fails=True)


def test_explain_reads_openapi(kubectl):
    text = kubectl.run("explain", "deployment.spec.replicas")
    assert "FIELD: replicas <integer>" in text
    assert "KIND:       Pod" in kubectl.run("explain", "pod", "--recursive")


def test_auth_can_i(kubectl):
    kubectl.run("create", "role", "reader", "--verb=get", "--resource=configmaps")
    kubectl.run("create", "rolebinding", "read", "--role=reader", "--user=alice")
    assert kubectl.run("auth", "can-i", "create", "pods").strip() == "yes"
    assert kubectl.run("auth", "can-i", "get", "configmaps", "--as=alice").strip() == "yes"
    assert "no" in subprocess.run(
        ["kubectl", "-n", kubectl.namespace, "auth", "can-i", "delete", "configmaps", "--as=alice"],
        capture_output=True,
        text=True,
        env=kubectl._environment,
    ).stdout
    assert "system:admin" in kubectl.run("auth", "whoami")


def test_wait_for_a_condition_and_for_deletion(kubectl):
    kubectl.run("create", "configmap", "settings", "--from-literal=a=1")
    waiting = subprocess.Popen(
        ["kubectl", "-n", kubectl.namespace, "wait", "configmap/settings", "--for=jsonpath={.data.a}=2"],
        env=kubectl._environment,
        stdout=subprocess.DEVNULL,
    )
    kubectl.run("patch", "configmap", "settings", "-p", '{"data":{"a":"2"}}')
    assert waiting.wait(30) == 0
    waiting = subprocess.Popen(
        ["kubectl", "-n", kubectl.namespace, "wait", "configmap/settings", "--for=delete"],
        env=kubectl._environment,
        stdout=subprocess.DEVNULL,
    )
    kubectl.run("delete", "configmap", "settings")
    assert waiting.wait(30) == 0


def test_watch_prints_rows_as_they_come(kubectl):
    kubectl.run("create", "configmap", "first")
    watching = subprocess.Popen(
        ["kubectl", "-n", kubectl.namespace, "get", "configmaps", "-w", "-o", "name"],
        env=kubectl._environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    try:
        assert watching.stdout.readline() == "configmap/first\n"
        kubectl.run("create", "configmap", "second")
        assert watching.stdout.readline() == "configmap/second\n"
    finally:
        watching.terminate()
        watching.wait()
        watching.stdout.close()


def test_describe_prints_events(kubectl):
    kubectl.run("apply", "-f", "-", stdin=DEPLOYMENT)
    assert "Replicas:" in kubectl.run("describe", "deployment", "web")


def test_stopping_the_server_leaves_no_error_behind(tmp_path):
    with ApiServerProcess(tmp_path) as server:
        pass
    assert "Traceback" not in server.log.read_text()

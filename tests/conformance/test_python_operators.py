"""Clients of PyPI that operators are written with: kr8s, lightkube, and an operator of kopf, each as a process of its own."""

import os
import subprocess
import sys

import pytest

from tests.support.black_box import PROJECT, ApiError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

GROUP = "operators.example.com"
PROGRAMS = PROJECT / "tests" / "support" / "python_clients"


def define(cluster, plural, kind):
    """Create a definition and wait until its kind is served."""
    spec = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": spec}}}
    version = {"name": "v1", "served": True, "storage": True, "subresources": {"status": {}}, "schema": schema}
    names = {"kind": kind, "plural": plural, "singular": kind.lower()}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }  # fmt: skip
    cluster.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    cluster.until(lambda: cluster.request("GET", f"/apis/{GROUP}/v1/{plural}"), what=f"the kind of {plural}")


def run(program, cluster, namespace):
    """Run a program, which checks what it finds itself."""
    command = [sys.executable, str(PROGRAMS / program), str(cluster.kubeconfig), namespace]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr


def test_kr8s_makes_finds_changes_watches_scales_and_deletes(cluster, namespace, played_node):
    run("kr8s_life.py", cluster, namespace)


def test_lightkube_with_typed_models_apply_and_custom_resources(cluster, namespace):
    define(cluster, "lamps", "Lamp")
    run("lightkube_life.py", cluster, namespace)


@pytest.fixture
def operator(cluster, namespace, tmp_path):
    """An operator that shows what signs say in their status, with a finalizer of its own."""
    define(cluster, "signs", "Sign")
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "kopf", "run", "--standalone", f"--namespace={namespace}", str(PROGRAMS / "sign_operator.py")]
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    try:
        yield log
    finally:
        process.terminate()
        assert process.wait(60) == 0, log.read_text()
    assert "Traceback" not in log.read_text(), log.read_text()


def test_a_kopf_operator_follows_its_kind(cluster, namespace, operator):
    signs = f"/apis/{GROUP}/v1/namespaces/{namespace}/signs"
    body = {"apiVersion": f"{GROUP}/v1", "kind": "Sign", "metadata": {"name": "s"}, "spec": {"text": "open"}}
    cluster.request("POST", signs, body)

    def shown():
        return cluster.request("GET", f"{signs}/s").get("status", {}).get("shown")

    cluster.until(lambda: shown() == "open", what="the operator's first status", limit_s=90)
    cluster.until(lambda: cluster.request("GET", f"{signs}/s")["status"].get("create") == {"painted": True}, what="its result")
    assert cluster.request("GET", f"{signs}/s")["metadata"]["finalizers"]
    cluster.request("PATCH", f"{signs}/s", {"spec": {"text": "closed"}}, content_type="application/merge-patch+json")
    cluster.until(lambda: shown() == "closed", what="the operator's second status", limit_s=60)
    events = f"/api/v1/namespaces/{namespace}/events"
    cluster.until(lambda: [one for one in cluster.request("GET", events)["items"] if one["reason"] == "Painted"], what="its event", limit_s=60)
    cluster.request("DELETE", f"{signs}/s")

    def gone():
        try:
            cluster.request("GET", f"{signs}/s")
        except ApiError as error:
            return error.code == 404
        return False

    cluster.until(gone, what="the end of the sign", limit_s=60)
    cluster.until(lambda: "event DELETED s" in operator.read_text(), what="the event of its end")

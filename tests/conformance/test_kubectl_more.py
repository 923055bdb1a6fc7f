"""Commands about autoscalers, certificates, the client's own settings, and the proxy."""

import json
import urllib.request

import pytest

from tests.support.black_box import PROJECT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

REQUEST = PROJECT / "tests" / "support" / "manifests" / "certificates.k8s.io-certificatesigningrequest.yaml"


def test_autoscale_makes_an_autoscaler(kubectl):
    kubectl("create", "deployment", "web", "--image=web:1", "--replicas=0")
    assert kubectl("autoscale", "deployment", "web", "--min=2", "--max=5", "--cpu=60%") == (
        "horizontalpodautoscaler.autoscaling/web autoscaled\n"
    )
    spec = kubectl.get("hpa", "web")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"], spec["scaleTargetRef"]["name"]) == (2, 5, "web")
    assert spec["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 60}


@pytest.mark.parametrize(("command", "condition"), [("approve", "Approved"), ("deny", "Denied")])
def test_certificate_requests_are_decided_once(kubectl, command, condition):
    name = f"kubectl-{command}"
    text = REQUEST.read_text().replace("name: alice", f"name: {name}", 1)
    kubectl("create", "-f", "-", stdin=text)
    kubectl("certificate", command, name)
    conditions = kubectl.get("csr", name)["status"]["conditions"]
    assert condition in [one["type"] for one in conditions]
    other = "deny" if command == "approve" else "approve"
    kubectl.fails("certificate", other, name)
    kubectl("delete", "csr", name)


def test_contexts_are_made_chosen_renamed_and_deleted(kubectl, cluster, tmp_path):
    config = tmp_path / "config"
    config.write_text(cluster.kubeconfig.read_text())
    environment = {"KUBECONFIG": str(config)}
    before = kubectl("config", "current-context", **environment).strip()
    kubectl("config", "set-cluster", "second", f"--server={cluster.url}", "--insecure-skip-tls-verify=true", **environment)
    kubectl("config", "set-credentials", "nobody", "--token=nonsense", **environment)
    kubectl("config", "set-context", "second", "--cluster=second", "--user=nobody", "--namespace=default", **environment)
    assert "second" in kubectl("config", "get-contexts", "-o", "name", **environment).split()
    kubectl("config", "use-context", "second", **environment)
    assert "Unauthorized" in kubectl.fails("get", "pods", **environment) or "logged in" in kubectl.fails("get", "pods", **environment)
    kubectl("config", "rename-context", "second", "third", **environment)
    kubectl("config", "use-context", before, **environment)
    kubectl("config", "delete-context", "third", **environment)
    kubectl("config", "delete-user", "nobody", **environment)
    kubectl("config", "delete-cluster", "second", **environment)
    assert kubectl("get", "configmap", "kube-root-ca.crt", "-o", "name", **environment) == "configmap/kube-root-ca.crt\n"


def test_the_proxy_lets_others_in(kubectl, namespace):
    proxy = kubectl.start("proxy", "--port=0")
    try:
        line = proxy.stdout.readline()
        assert line.startswith("Starting to serve on "), line
        with urllib.request.urlopen(f"http://{line.split()[-1]}/api/v1/namespaces/{namespace}") as answer:
            assert json.load(answer)["metadata"]["name"] == namespace
    finally:
        proxy.terminate()
        proxy.wait(30)
        proxy.stdout.close()


def test_completion_scripts_are_printed(kubectl):
    assert "__start_kubectl" in kubectl("completion", "bash")

"""`kubectl delete`: one, several, by selector, by file; orphans, foreground, force."""

import json

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_by_name_selector_file_and_all(kubectl, namespace):
    for name in ("a", "b", "c", "d", "e"):
        kubectl("create", "configmap", name)
    kubectl("label", "configmap", "b", "c", "x=y")
    assert kubectl("delete", "configmap", "a") == f'configmap "a" deleted from {namespace} namespace\n'
    assert kubectl("delete", "configmap", "-l", "x=y") == (
        f'configmap "b" deleted from {namespace} namespace\nconfigmap "c" deleted from {namespace} namespace\n'
    )
    manifest = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"d"}}'
    assert kubectl("delete", "-f", "-", "--dry-run=server", stdin=manifest) == (
        f'configmap "d" deleted from {namespace} namespace (server dry run)\n'
    )
    assert kubectl("delete", "-f", "-", stdin=manifest) == f'configmap "d" deleted from {namespace} namespace\n'
    assert kubectl("delete", "configmap", "--field-selector=metadata.name=e") == (
        f'configmap "e" deleted from {namespace} namespace\n'
    )
    assert kubectl.fails("delete", "configmap", "e") == 'Error from server (NotFound): configmaps "e" not found\n'
    assert kubectl("delete", "configmap", "e", "--ignore-not-found") == ""
    kubectl("create", "secret", "generic", "s")
    assert kubectl("delete", "secret", "--all") == f'secret "s" deleted from {namespace} namespace\n'


@pytest.fixture
def web(kubectl, played_node):
    kubectl("create", "deployment", "web", "--image=web")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    return kubectl


def test_orphans_stay_and_are_adopted_again(web):
    name = web("get", "replicaset", "-o", "name").strip()
    web("delete", "deployment", "web", "--cascade=orphan")
    found = web.get(name)
    assert "ownerReferences" not in found["metadata"]
    assert found["status"]["readyReplicas"] == 1
    pod = web("get", "pods", "-o", "name")
    web("create", "deployment", "web", "--image=web")
    web("rollout", "status", "deployment/web", "--timeout=30s")
    assert web("get", "pods", "-o", "name") == pod
    assert web.get(name)["metadata"]["ownerReferences"][0]["name"] == "web"


def test_foreground_waits_for_the_dependents(web):
    web("delete", "deployment", "web", "--cascade=foreground", "--timeout=30s")
    assert web("get", "replicasets,pods", "-o", "name") == ""


def test_a_pod_goes_when_its_kubelet_says_so(kubectl, namespace, played_node):
    kubectl("run", "p", "--image=web")
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    assert kubectl("delete", "pod", "p", "--timeout=30s") == f'pod "p" deleted from {namespace} namespace\n'
    kubectl("run", "p", "--image=web")
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    assert kubectl("delete", "pod", "p", "--now") == f'pod "p" deleted from {namespace} namespace\n'


def test_a_pod_can_be_forced(kubectl, namespace):
    bound = {"spec": {"nodeName": "nowhere"}}
    kubectl("run", "p", "--image=web", "--overrides", json.dumps(bound))
    kubectl("delete", "pod", "p", "--grace-period=7", "--wait=false")
    found = kubectl.get("pod", "p")
    assert found["metadata"]["deletionGracePeriodSeconds"] == 7
    assert "Terminating" in kubectl("get", "pod", "p")
    done = kubectl.run("delete", "pod", "p", "--force")
    assert done.stdout == f'pod "p" force deleted from {namespace} namespace\n'
    assert done.stderr == (
        "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. "
        "The resource may continue to run on the cluster indefinitely.\n"
    )
    kubectl.fails("get", "pod", "p")


def test_a_namespace_takes_everything_along(kubectl, namespace, played_node):
    kubectl("create", "deployment", "web", "--image=web")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert kubectl("delete", "namespace", namespace, "--timeout=30s") == f'namespace "{namespace}" deleted\n'
    kubectl.fails("get", "namespace", namespace)
    assert kubectl("get", "pods", "-o", "name") == ""
    fault = kubectl.fails("create", "configmap", "late")
    assert fault == f'error: failed to create configmap: namespaces "{namespace}" not found\n'


def test_what_is_protected_cannot_be_deleted(kubectl):
    kubectl.namespace = ""
    fault = kubectl.fails("delete", "namespace", "kube-system")
    assert fault == 'Error from server (Forbidden): namespaces "kube-system" is forbidden: this namespace may not be deleted\n'


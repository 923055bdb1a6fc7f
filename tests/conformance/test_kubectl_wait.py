"""`kubectl wait`: conditions, values, creation, deletion."""

import json

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_for_a_condition(kubectl, played_node):
    kubectl("run", "p", "--image=web")
    assert kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=20s") == "pod/p condition met\n"
    assert kubectl("wait", "--for=condition=ready=true", "pod", "--all", "--timeout=20s") == "pod/p condition met\n"
    kubectl("create", "deployment", "web", "--image=web")
    assert kubectl("wait", "--for=condition=Available", "deployment/web", "--timeout=20s") == (
        "deployment.apps/web condition met\n"
    )


def test_for_a_value_that_comes_later(kubectl):
    kubectl("create", "configmap", "c", "--from-literal=a=1")
    waiting = kubectl.start("wait", "--for=jsonpath={.data.a}=2", "configmap/c", "--timeout=20s")
    kubectl("patch", "configmap", "c", "-p", '{"data":{"a":"2"}}')
    assert waiting.communicate()[0] == "configmap/c condition met\n"
    assert waiting.returncode == 0
    assert kubectl("wait", "--for=jsonpath={.data.a}", "configmap/c") == "configmap/c condition met\n"


def test_for_the_end(kubectl):
    blocker = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "finalizers": ["example.org/stay"]}}
    kubectl("create", "-f", "-", stdin=json.dumps(blocker))
    kubectl("delete", "configmap", "c", "--wait=false")
    waiting = kubectl.start("wait", "--for=delete", "configmap/c", "--timeout=20s", "-v=6")
    while "watch=true" not in (line := waiting.stdout.readline()):
        assert line, "kubectl ended before it watched"
    kubectl("patch", "configmap", "c", "--type=json", "-p", '[{"op":"remove","path":"/metadata/finalizers"}]')
    assert "configmap/c condition met\n" in waiting.communicate()[0]
    assert waiting.returncode == 0
    assert kubectl("wait", "--for=delete", "configmap/nobody") == ""


def test_for_the_beginning(kubectl):
    waiting = kubectl.start("wait", "--for=create", "configmap/c", "--timeout=20s")
    kubectl("create", "configmap", "c")
    assert waiting.communicate()[0] == "configmap/c condition met\n"


def test_in_vain(kubectl):
    kubectl("create", "configmap", "c")
    fault = kubectl.fails("wait", "--for=jsonpath={.data.a}=2", "configmap/c", "--timeout=200ms")
    assert fault == "error: timed out waiting for the condition on configmaps/c\n"
    assert kubectl.fails("wait", "--for=condition=Ready", "pod/nobody") == (
        'Error from server (NotFound): pods "nobody" not found\n'
    )

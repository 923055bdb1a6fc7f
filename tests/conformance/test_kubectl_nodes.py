"""Nodes: taint, cordon, drain; top without figures."""

import json

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def node(kubectl, namespace):
    """A Node object that no kubelet stands behind."""
    name = f"node-{namespace}"
    kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}))
    yield name
    kubectl("delete", "node", name)


def taints(kubectl, node):
    found = kubectl.get("node", node)["spec"].get("taints", [])
    return [one for one in found if not one["key"].startswith("node.kubernetes.io/")]


def test_taint_sets_overwrites_and_removes(kubectl, node):
    assert kubectl("taint", "node", node, "a=b:NoSchedule") == f"node/{node} tainted\n"
    assert taints(kubectl, node) == [{"effect": "NoSchedule", "key": "a", "value": "b"}]
    fault = kubectl.fails("taint", "node", node, "a=c:NoSchedule")
    assert fault == f"error: node {node} already has a taint(s) with same effect(s) and --overwrite is false\n"
    assert kubectl("taint", "node", node, "a=c:NoSchedule", "--overwrite") == f"node/{node} modified\n"
    assert kubectl("taint", "node", node, "a:NoSchedule-") == f"node/{node} untainted\n"
    assert taints(kubectl, node) == []
    assert "x" in kubectl.fails("taint", "node", node, "a=b:Sometimes")


def test_cordon_and_uncordon(kubectl, node):
    assert kubectl("cordon", node) == f"node/{node} cordoned\n"
    assert kubectl.get("node", node)["spec"]["unschedulable"] is True
    assert kubectl("cordon", node) == f"node/{node} already cordoned\n"
    assert "SchedulingDisabled" in kubectl("get", "node", node)
    assert kubectl("uncordon", node) == f"node/{node} uncordoned\n"
    assert "unschedulable" not in kubectl.get("node", node)["spec"]


def test_drain_evicts_the_pods_of_a_node(kubectl, namespace, played_node):
    kubectl("create", "deployment", "web", "--image=web")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    before = kubectl("get", "pods", "-l", "app=web", "-o", "name").split()
    kubectl("run", "bare", "--image=bare")
    kubectl("wait", "--for=condition=Ready", "pod/bare", "--timeout=30s")
    try:
        answer = kubectl("drain", "played", "--pod-selector=app=web", "--dry-run=server")
        assert answer.splitlines()[0] == "node/played cordoned (server dry run)"
        assert before[0] in kubectl("get", "pods", "-o", "name").split()
        fault = kubectl.fails("drain", "played", "--pod-selector=run=bare")
        assert "cannot delete Pods that declare no controller (use --force to override)" in fault
        assert "bare" in fault
        answer = kubectl("drain", "played", "--pod-selector=run=bare", "--force")
        assert answer == f"node/played already cordoned\nevicting pod {namespace}/bare\npod/bare evicted\nnode/played drained\n"
        answer = kubectl("drain", "played", "--pod-selector=app=web")
        assert f"evicting pod {namespace}/{before[0].removeprefix('pod/')}" in answer
        assert kubectl("get", "pods", "-l", "run=bare", "-o", "name") == ""
        assert before[0] not in kubectl("get", "pods", "-o", "name").split()
    finally:
        kubectl("uncordon", "played")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")


def test_a_disruption_budget_holds_evictions_up(kubectl, namespace, played_node):
    kubectl("run", "p", "--image=web", "--labels=app=p")
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    kubectl("create", "pdb", "b", "--selector=app=p", "--min-available=1")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p", "namespace": namespace}}
    fault = kubectl.fails("create", "--raw", f"/api/v1/namespaces/{namespace}/pods/p/eviction", "-f", "-", stdin=json.dumps(eviction))
    assert "Cannot evict pod as it would violate the pod's disruption budget." in fault


def test_top_says_that_there_are_no_figures_yet(kubectl):
    """The played node has no kubelet that could tell any."""
    assert kubectl.fails("top", "node") == "error: metrics not available yet\n"

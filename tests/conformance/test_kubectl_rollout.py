"""Rollouts of a Deployment, its pods on a played node."""

import json

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def web(kubectl, played_node):
    kubectl("create", "deployment", "web", "--image=web:1", "--replicas=2")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    return kubectl


def image(kubectl):
    return kubectl.get("deployment", "web")["spec"]["template"]["spec"]["containers"][0]["image"]


def test_status_waits_until_all_pods_are_new(web):
    assert web("rollout", "status", "deployment/web") == 'deployment "web" successfully rolled out\n'
    web("set", "image", "deployment/web", "web=web:2")
    text = web("rollout", "status", "deployment/web", "--timeout=30s")
    assert text.splitlines()[-1] == 'deployment "web" successfully rolled out'
    images = web("get", "pods", "-l", "app=web", "--field-selector=status.phase=Running", "-o", "jsonpath={.items[*].spec.containers[0].image}")
    assert "web:2" in images
    found = web.get("deployment", "web")
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
    assert found["status"]["updatedReplicas"] == 2


def test_status_of_a_rollout_that_stands_still_says_what_it_waits_for(web):
    web("set", "image", "deployment/web", "web=broken:1")
    fault = web.run("rollout", "status", "deployment/web", "--timeout=1s")
    assert fault.returncode == 1
    assert fault.stdout.splitlines()[-1] == (
        'Waiting for deployment "web" rollout to finish: 1 out of 2 new replicas have been updated...'
    )
    assert fault.stderr == "error: timed out waiting for the condition\n"
    assert web("rollout", "status", "deployment/web", "--watch=false") == (
        'Waiting for deployment "web" rollout to finish: 1 out of 2 new replicas have been updated...\n'
    )


def test_history_undo_and_revisions(web):
    web("annotate", "deployment/web", "kubernetes.io/change-cause=first")
    web("set", "image", "deployment/web", "web=web:2")
    web("annotate", "deployment/web", "kubernetes.io/change-cause=second", "--overwrite")
    web("rollout", "status", "deployment/web", "--timeout=30s")
    lines = web("rollout", "history", "deployment/web").splitlines()
    assert lines[0] == "deployment.apps/web "
    assert [line.split() for line in lines[1:] if line] == [["REVISION", "CHANGE-CAUSE"], ["1", "first"], ["2", "second"]]
    assert "Image:\tweb:1" in web("rollout", "history", "deployment/web", "--revision=1")
    assert web("rollout", "undo", "deployment/web") == "deployment.apps/web rolled back\n"
    web("rollout", "status", "deployment/web", "--timeout=30s")
    assert image(web) == "web:1"
    lines = web("rollout", "history", "deployment/web").splitlines()
    assert [line.split()[0] for line in lines[2:] if line] == ["2", "3"]
    web("rollout", "undo", "deployment/web", "--to-revision=2")
    web("rollout", "status", "deployment/web", "--timeout=30s")
    assert image(web) == "web:2"
    assert "unable to find specified revision 9 in history" in web.fails("rollout", "undo", "deployment/web", "--to-revision=9")
    assert web("rollout", "undo", "deployment/web", "--to-revision=4").startswith("deployment.apps/web skipped rollback")


def test_restart_makes_new_pods(web):
    before = set(web("get", "pods", "-o", "name").split())
    assert web("rollout", "restart", "deployment/web") == "deployment.apps/web restarted\n"
    web("rollout", "status", "deployment/web", "--timeout=30s")
    annotations = web.get("deployment", "web")["spec"]["template"]["metadata"]["annotations"]
    assert "kubectl.kubernetes.io/restartedAt" in annotations
    web("wait", "--for=delete", *before, "--timeout=30s")


def test_pause_and_resume(web):
    assert web("rollout", "pause", "deployment/web") == "deployment.apps/web paused\n"
    assert web.fails("rollout", "pause", "deployment/web") == "error: deployments.apps \"web\" is already paused\n"
    web("set", "image", "deployment/web", "web=web:2")
    assert "can't restart paused deployment" in web.fails("rollout", "restart", "deployment/web")
    web("wait", "--for=jsonpath={.status.observedGeneration}=3", "deployment/web", "--timeout=10s")
    assert len(web.get("replicaset")["items"]) == 1
    assert web("rollout", "resume", "deployment/web") == "deployment.apps/web resumed\n"
    web("rollout", "status", "deployment/web", "--timeout=30s")
    assert len(web.get("replicaset")["items"]) == 2


def test_scaling_changes_the_number_of_pods(web, cluster):
    web("scale", "deployment/web", "--replicas=4")
    web("rollout", "status", "deployment/web", "--timeout=30s")
    assert web("get", "deployment", "web").splitlines()[1].split()[:4] == ["web", "4/4", "4", "4"]
    web("scale", "deployment/web", "--replicas=0")
    web("wait", "--for=delete", "pod", "-l", "app=web", "--timeout=30s")
    cluster.until(lambda: web("get", "deployment", "web").splitlines()[1].split()[:4] == ["web", "0/0", "0", "0"])


def test_a_deployment_that_makes_no_progress_says_so(web):
    web("patch", "deployment", "web", "-p", json.dumps({"spec": {"progressDeadlineSeconds": 1}}))
    web("set", "image", "deployment/web", "web=broken:1")
    done = web.run("rollout", "status", "deployment/web", "--timeout=20s")
    assert done.returncode == 1
    assert done.stderr == 'error: deployment "web" exceeded its progress deadline\n'


def test_a_deleted_pod_is_replaced_and_a_deployment_takes_its_pods_along(web):
    name = web("get", "pods", "-o", "name").split()[0]
    web("delete", name)
    web("rollout", "status", "deployment/web", "--timeout=30s")
    assert name not in web("get", "pods", "-o", "name").split()
    web("delete", "deployment", "web")
    web("wait", "--for=delete", "pod,replicaset", "-l", "app=web", "--timeout=30s")
    assert web("get", "pods,replicasets", "-o", "name") == ""

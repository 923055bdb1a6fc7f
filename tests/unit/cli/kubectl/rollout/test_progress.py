"""kubectl's words for how far a rollout is."""

import pytest

from k3py.cli.kubectl.rollout.progress import progress_of
from k3py.errors import K3pyError


def obj(spec, generation=1, **status):
    return {"metadata": {"name": "web", "generation": generation}, "spec": spec, "status": {"observedGeneration": 1, **status}}


@pytest.mark.parametrize(
    ("status", "text", "done"),
    [
        ({"updatedReplicas": 1}, "1 out of 3 new replicas have been updated...", False),
        ({"updatedReplicas": 3, "replicas": 4}, "1 old replicas are pending termination...", False),
        ({"updatedReplicas": 3, "replicas": 3, "availableReplicas": 2}, "2 of 3 updated replicas are available...", False),
    ],
)
def test_deployments_that_are_under_way(status, text, done):
    begin = 'Waiting for deployment "web" rollout to finish: '
    assert progress_of("Deployment", obj({"replicas": 3}, **status)) == (begin + text, done)


def test_the_end_of_a_deployment():
    done = {"updatedReplicas": 3, "replicas": 3, "availableReplicas": 3}
    assert progress_of("Deployment", obj({"replicas": 3}, **done)) == ('deployment "web" successfully rolled out', True)
    assert progress_of("Deployment", obj({"replicas": 3}, generation=2, **done)) == (
        "Waiting for deployment spec update to be observed...",
        False,
    )
    late = {"conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]}
    with pytest.raises(K3pyError, match='deployment "web" exceeded its progress deadline'):
        progress_of("Deployment", obj({"replicas": 3}, **late))
    with pytest.raises(K3pyError, match=r"desired revision \(2\) is different from the running revision \(0\)"):
        progress_of("Deployment", obj({"replicas": 3}, **done), revision=2)


def test_daemon_sets():
    spec = {"updateStrategy": {"type": "RollingUpdate"}}
    begin = 'Waiting for daemon set "web" rollout to finish: '
    status = {"desiredNumberScheduled": 2, "updatedNumberScheduled": 1}
    assert progress_of("DaemonSet", obj(spec, **status))[0] == begin + "1 out of 2 new pods have been updated..."
    status = {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1}
    assert progress_of("DaemonSet", obj(spec, **status))[0] == begin + "1 of 2 updated pods are available..."
    status["numberAvailable"] = 2
    assert progress_of("DaemonSet", obj(spec, **status)) == ('daemon set "web" successfully rolled out', True)
    with pytest.raises(K3pyError, match="only available for RollingUpdate"):
        progress_of("DaemonSet", obj({"updateStrategy": {"type": "OnDelete"}}))


def test_stateful_sets():
    spec = {"replicas": 3, "updateStrategy": {"type": "RollingUpdate"}}
    assert progress_of("StatefulSet", obj(spec, readyReplicas=1))[0] == "Waiting for 2 pods to be ready..."
    status = {"readyReplicas": 3, "updatedReplicas": 1, "updateRevision": "b", "currentRevision": "a", "currentReplicas": 2}
    assert progress_of("StatefulSet", obj(spec, **status)) == (
        "waiting for statefulset rolling update to complete 1 pods at revision b...",
        False,
    )
    status |= {"currentRevision": "b", "currentReplicas": 3}
    assert progress_of("StatefulSet", obj(spec, **status)) == (
        "statefulset rolling update complete 3 pods at revision b...",
        True,
    )
    spec["updateStrategy"]["rollingUpdate"] = {"partition": 1}
    status["updatedReplicas"] = 1
    assert progress_of("StatefulSet", obj(spec, **status))[0].endswith("1 out of 2 new pods have been updated...")
    status["updatedReplicas"] = 2
    assert progress_of("StatefulSet", obj(spec, **status)) == ("partitioned roll out complete: 2 new pods have been updated...", True)

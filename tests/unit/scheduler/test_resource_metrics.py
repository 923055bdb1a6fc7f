"""kube_pod_resource_request and _limit: what the scheduler counts a pod for."""

from __future__ import annotations

from k3py.api.resource import PODS
from k3py.scheduler.resource_metrics import resource_metrics
from tests.support.fake_client import FakeClient, FakeInformerFactory


def sized(cpu, memory="0", **more):
    return {"resources": {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu}}, **more}


async def test_requests_and_limits_are_told_with_their_units():
    client = FakeClient()
    informers = FakeInformerFactory(client)
    informer = informers.informer(PODS)
    spec = {
        "nodeName": "n1",
        "schedulerName": "default-scheduler",
        "priority": 7,
        "containers": [sized("100m", "64Mi"), sized("200m")],
        "initContainers": [sized("1"), sized("50m", restartPolicy="Always")],
        "overhead": {"cpu": "10m"},
    }
    client.seed(PODS, {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})
    client.seed(PODS, {"metadata": {"name": "done", "namespace": "default"}, "spec": spec, "status": {"phase": "Succeeded"}})
    text = resource_metrics(informer.lister).to_text()
    labels = 'namespace="default",pod="p",node="n1",scheduler="default-scheduler",priority="7"'
    assert f'kube_pod_resource_request{{{labels},resource="cpu",unit="cores"}} 1.01' in text
    assert f'kube_pod_resource_request{{{labels},resource="memory",unit="bytes"}} 67108864' in text
    assert f'kube_pod_resource_limit{{{labels},resource="cpu",unit="cores"}} 1.01' in text
    assert '"done"' not in text

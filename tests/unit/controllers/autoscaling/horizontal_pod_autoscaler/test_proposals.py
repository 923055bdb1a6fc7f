"""Metrics of pods, objects and the outside: what is asked for, what is proposed, what the status shows."""

import pytest

from k3py.api.resource import Resource
from k3py.api.selectors import parse_label_selector
from k3py.api.status import ApiError
from k3py.api.timestamps import parse_time
from k3py.client.interface import ObjectList
from k3py.controllers.autoscaling.horizontal_pod_autoscaler.metrics import MetricsClient
from k3py.controllers.autoscaling.horizontal_pod_autoscaler.proposals import MetricFault, Proposals, Target
from k3py.controllers.autoscaling.horizontal_pod_autoscaler.replicas import Tolerances
from tests.support.objects import pod

NOW = parse_time("2026-01-01T01:00:00Z")
TIME = "2026-01-01T00:59:30Z"
METRIC = {"name": "requests", "selector": {"matchLabels": {"verb": "GET"}}}
INGRESS = Resource("networking.k8s.io", "v1", "ingresses", "Ingress")
NOT_FOUND = ApiError(404, "NotFound", "the server could not find the requested resource")


class Apis:
    """A client that answers from `answers` by (group/version, plural, name, subresource) and remembers options."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []

    async def get(self, resource, name, *, namespace="", subresource="", options=None):
        self.asked.append((resource.api_version, resource.plural, namespace, name, subresource, options))
        if resource.version != self.answers.get("version", "v1beta2"):
            raise NOT_FOUND
        return {"items": self.answers["items"]}

    async def list(self, resource, *, namespace="", label_selector="", field_selector="", resource_version=""):
        self.asked.append((resource.api_version, resource.plural, namespace, label_selector))
        if isinstance(self.answers["items"], ApiError):
            raise self.answers["items"]
        return ObjectList(self.answers["items"], "1")


def running(name):
    one = pod(name, labels={"app": "a"}, ready=True)
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:10Z"}
    one["status"] |= {"phase": "Running", "startTime": "2026-01-01T00:00:00Z", "conditions": [ready]}
    return one


async def propose(client, spec, *, spec_replicas=2):
    target = Target(
        namespace="n",
        spec_replicas=spec_replicas,
        status_replicas=spec_replicas,
        selector=parse_label_selector("app=a"),
        pods=[running(f"p{number}") for number in range(2)],
    )
    proposals = Proposals(MetricsClient(client), lambda version, kind: INGRESS if kind == "Ingress" else None)
    return await proposals.propose(spec, target, Tolerances(), NOW)


def of_pod(name, value):
    return {"describedObject": {"kind": "Pod", "name": name}, "timestamp": TIME, "value": value}


@pytest.mark.parametrize("version", ["v1beta2", "v1beta1"])
async def test_pods(version):
    client = Apis(version=version, items=[of_pod("p0", "15"), of_pod("p1", "5")])
    spec = {"type": "Pods", "pods": {"metric": METRIC, "target": {"type": "AverageValue", "averageValue": "5"}}}
    found = await propose(client, spec)
    assert (found.replicas, found.name) == (4, "pods metric requests")
    assert found.status == {"type": "Pods", "pods": {"metric": METRIC, "current": {"averageValue": "10"}}}
    options = {"labelSelector": "app=a", "metricLabelSelector": "verb=GET"}
    assert client.asked[-1] == (f"custom.metrics.k8s.io/{version}", "pods", "n", "*", "requests", options)


@pytest.mark.parametrize(
    ("target", "replicas", "current"),
    [
        ({"type": "Value", "value": "10"}, 4, {"value": "20"}),
        ({"type": "AverageValue", "averageValue": "4"}, 5, {"averageValue": "10"}),
    ],
)
async def test_object(target, replicas, current):
    client = Apis(items=[{"value": "20", "timestamp": TIME}])
    described = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "main"}
    spec = {"type": "Object", "object": {"describedObject": described, "metric": {"name": "hits"}, "target": target}}
    found = await propose(client, spec)
    assert (found.replicas, found.name) == (replicas, "Ingress metric hits")
    assert found.status["object"] == {"describedObject": described, "metric": {"name": "hits"}, "current": current}
    assert client.asked[0][:5] == ("custom.metrics.k8s.io/v1beta2", "ingresses.networking.k8s.io", "n", "main", "hits")


async def test_external():
    client = Apis(items=[{"value": "12"}, {"value": "18"}])
    spec = {"type": "External", "external": {"metric": METRIC, "target": {"type": "AverageValue", "averageValue": "10"}}}
    found = await propose(client, spec)
    assert (found.replicas, found.name) == (3, "external metric requests(verb=GET)")
    assert found.status["external"] == {"metric": METRIC, "current": {"averageValue": "15"}}
    assert client.asked == [("external.metrics.k8s.io/v1beta1", "requests", "n", "verb=GET")]


@pytest.mark.parametrize(
    ("spec", "reason", "text"),
    [
        (
            {"type": "External", "external": {"metric": METRIC, "target": {"value": "1"}}},
            "FailedGetExternalMetric",
            "unable to get external metric n/requests/verb=GET: unable to fetch metrics from external metrics API",
        ),
        (
            {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 50}}},
            "FailedGetResourceMetric",
            "failed to get cpu utilization: unable to get metrics for resource cpu",
        ),
        (
            {
                "type": "ContainerResource",
                "containerResource": {"name": "cpu", "container": "c", "target": {"averageValue": "1"}},
            },
            "FailedGetContainerResourceMetric",
            "failed to get cpu usage: unable to get metrics for resource cpu",
        ),
        ({"type": "Odd"}, "InvalidMetricSourceType", 'unknown metric source type "Odd"'),
        (
            {
                "type": "Object",
                "object": {
                    "describedObject": {"apiVersion": "v9", "kind": "Nothing", "name": "x"},
                    "metric": METRIC,
                    "target": {"value": "1"},
                },
            },
            "FailedGetObjectMetric",
            'no matches for kind "Nothing" in "v9"',
        ),
    ],
)
async def test_what_cannot_be_had_says_why(spec, reason, text):
    with pytest.raises(MetricFault) as caught:
        await propose(Apis(items=NOT_FOUND), spec)
    assert caught.value.reason == reason
    assert caught.value.message.startswith(text)


async def test_one_container_of_pods():
    def figures(name, busy, other):
        containers = [{"name": "c", "usage": {"cpu": busy}}, {"name": "sidecar", "usage": {"cpu": other}}]
        return {"metadata": {"name": name}, "timestamp": TIME, "window": "15s", "containers": containers}

    client = Apis(items=[figures("p0", "300m", "9"), figures("p1", "100m", "9")])
    source = {"name": "cpu", "container": "c", "target": {"type": "AverageValue", "averageValue": "100m"}}
    pods = {"type": "ContainerResource", "containerResource": source}
    found = await propose(client, pods)
    assert (found.replicas, found.name) == (4, "cpu container resource")
    shown = {"name": "cpu", "container": "c", "current": {"averageValue": "200m"}}
    assert found.status == {"type": "ContainerResource", "containerResource": shown}

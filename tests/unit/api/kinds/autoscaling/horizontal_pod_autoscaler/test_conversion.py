"""Autoscalers between v1 and v2: nothing is lost in v1's annotations, and what cannot be read there is ignored."""

import orjson
import pytest

from k3py.api.kinds.autoscaling.horizontal_pod_autoscaler.conversion import to_v1, to_v2

PREFIX = "autoscaling.alpha.kubernetes.io/"
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}
METRICS = [
    {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Mi"}}},
    {
        "type": "ContainerResource",
        "containerResource": {"name": "cpu", "container": "c", "target": {"type": "Utilization", "averageUtilization": 5}},
    },
    {"type": "Pods", "pods": {"metric": {"name": "p", "selector": {"matchLabels": {"a": "b"}}},
                              "target": {"type": "AverageValue", "averageValue": "1k"}}},
    {"type": "Object", "object": {"metric": {"name": "o"}, "describedObject": {"kind": "Service", "name": "s", "apiVersion": "v1"},
                                  "target": {"type": "Value", "value": "10k"}}},
    {"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "AverageValue", "averageValue": "30"}}},
]
BEHAVIOR = {
    "scaleUp": {"stabilizationWindowSeconds": 5, "selectPolicy": "Min", "policies": [{"type": "Pods", "value": 4, "periodSeconds": 60}],
                "tolerance": "50m"},
    "scaleDown": {"selectPolicy": "Disabled", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]},
}


def autoscaler(*, annotations=None, status=None, **spec):
    metadata = {"name": "h", **({"annotations": annotations} if annotations else {})}
    target = {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}
    return {"metadata": metadata, "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 3, **spec}, "status": status or {}}


def test_what_v2_has_more_survives_v1():
    status = {
        "currentReplicas": 1,
        "desiredReplicas": 2,
        "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageValue": "10m", "averageUtilization": 5}}}],
        "conditions": [{"type": "AbleToScale", "status": "True", "lastTransitionTime": None, "reason": "r"}],
    }
    original = autoscaler(metrics=[*METRICS, CPU], behavior=BEHAVIOR, status=status)
    v1 = to_v1(original)
    assert v1["spec"]["targetCPUUtilizationPercentage"] == 60
    assert v1["status"] == {"currentReplicas": 1, "desiredReplicas": 2, "currentCPUUtilizationPercentage": 5}
    assert set(v1["metadata"]["annotations"]) == {PREFIX + name for name in ("metrics", "current-metrics", "conditions", "behavior")}
    back = to_v2(v1)
    assert (back["spec"], back["status"], back["metadata"]) == (original["spec"], original["status"], original["metadata"])


def test_behavior_is_written_with_the_names_of_go():
    annotations = to_v1(autoscaler(metrics=[CPU], behavior=BEHAVIOR))["metadata"]["annotations"]
    written = orjson.loads(annotations[f"{PREFIX}behavior"])
    assert written["ScaleUp"]["Policies"] == [{"Type": "Pods", "Value": 4, "PeriodSeconds": 60}]
    assert written["ScaleDown"]["Tolerance"] is None


def test_without_any_metric_v1_means_80_percent_of_cpu():
    (metric,) = to_v2(autoscaler())["spec"]["metrics"]
    assert metric["resource"] == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}


@pytest.mark.parametrize(
    "text", ["", "{", "5", '"a"', "[5]", '[{"type":5}]', '[{"type":"Pods","pods":{"targetAverageValue":"x"}}]',
             '[{"type":"Pods","pods":{"selector":5}}]', '[{"type":"Resource","resource":{"targetAverageUtilization":"a"}}]']
)
def test_unreadable_annotations_are_ignored(text):
    found = to_v2(autoscaler(annotations={PREFIX + "metrics": text, PREFIX + "behavior": text, "other": "stays"}))
    assert found["metadata"]["annotations"] == {"other": "stays"}
    (metric,) = found["spec"]["metrics"]
    assert metric["resource"]["name"] == "cpu"
    assert "behavior" not in found["spec"]

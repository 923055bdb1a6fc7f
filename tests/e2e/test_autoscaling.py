"""A HorizontalPodAutoscaler scales a busy Deployment up by the figures of the metrics API."""

import json

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

IMAGE = "docker.io/library/busybox:local"


def test_busy_pods_get_company(server, namespace):
    limits = {"cpu": "100m", "memory": "16Mi"}
    container = {
        "name": "c",
        "image": IMAGE,
        "command": ["sh", "-c", "while :; do :; done"],
        "resources": {"requests": {"cpu": "20m"}, "limits": limits},
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "busy"},
        "spec": {
            "selector": {"matchLabels": {"app": "busy"}},
            "template": {
                "metadata": {"labels": {"app": "busy"}},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
            },
        },
    }
    server.kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(deployment))
    server.kubectl("-n", namespace, "rollout", "status", "deployment/busy", "--timeout=60s")
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "busy"}
    half = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
    wanted = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "busy"},
        "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 2, "metrics": [half]},
    }
    server.kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(wanted))

    def autoscaler():
        return json.loads(server.kubectl("-n", namespace, "get", "hpa", "busy", "-o", "json").stdout)

    server.until(lambda: autoscaler()["status"].get("desiredReplicas") == 2, limit_s=120, what="the second pod")
    conditions = {one["type"]: one["status"] for one in autoscaler()["status"]["conditions"]}
    assert conditions["ScalingActive"] == "True"
    found = json.loads(server.kubectl("-n", namespace, "get", "deployment", "busy", "-o", "json").stdout)
    assert found["spec"]["replicas"] == 2
    events = server.kubectl("-n", namespace, "get", "events", "--field-selector=reason=SuccessfulRescale").stdout
    assert "cpu resource utilization (percentage of request) above target" in events

"""kubectl top on a real node: figures of real containers, through the metrics API in the process."""

import json

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

IMAGE = "docker.io/library/busybox:local"


def quantity(text):
    for suffix, factor in (("n", 1e-9), ("u", 1e-6), ("m", 1e-3), ("Ki", 1024), ("Mi", 1024**2)):
        if text.endswith(suffix):
            return float(text.removesuffix(suffix)) * factor
    return float(text)


def test_kubectl_top_shows_what_nodes_and_pods_use(server, namespace):
    container = {"name": "c", "image": IMAGE, "command": ["sh", "-c", "while :; do :; done"]}
    limited = {**container, "resources": {"limits": {"cpu": "200m", "memory": "32Mi"}}}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [limited]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "busy", "labels": {"app": "busy"}}, "spec": spec}
    server.kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(pod))
    server.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/busy", "--timeout=60s")

    nodes = server.kubectl("top", "nodes").stdout.splitlines()
    assert nodes[0].split() == ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]
    assert len(nodes) == 2

    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods/busy"

    def usage():
        found = json.loads(server.kubectl("get", "--raw", path).stdout)
        return found["containers"][0]["usage"]

    used = server.until(usage, what="the usage of the pod")
    assert 0.001 < quantity(used["cpu"]) < 0.5
    assert 10_000 < quantity(used["memory"]) < 32 * 1024**2
    shown = server.kubectl("-n", namespace, "top", "pods", "--containers", "-l", "app=busy").stdout.splitlines()
    assert shown[1].split()[:2] == ["busy", "c"]

    node = nodes[1].split()[0]
    text = server.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/metrics/resource").stdout
    assert f'container_cpu_usage_seconds_total{{container="c",namespace="{namespace}",pod="busy"}}' in text
    assert f'container_start_time_seconds{{container="c",namespace="{namespace}",pod="busy"}}' in text
    text = server.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/metrics/cadvisor").stdout
    (line,) = [one for one in text.splitlines() if one.startswith("container_memory_working_set_bytes{") and 'pod="busy"' in one]
    assert f'namespace="{namespace}"' in line
    assert 'image=""' not in line
    (service,) = [
        one
        for one in server.kubectl("get", "apiservices").stdout.splitlines()
        if one.startswith("v1beta1.metrics.k8s.io")
    ]
    assert service.split()[1:3] == ["Local", "True"]

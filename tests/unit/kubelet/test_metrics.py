"""What the kubelet counts."""

from __future__ import annotations

import pytest

from k3py.api.resource import PODS
from k3py.kubelet.metrics import KubeletMetrics, operation_name
from k3py.kubelet.server.kubelet_metrics import write_kubelet_metrics, write_probe_metrics
from tests.support.kubelet import bound_pod, container, running_kubelet


@pytest.mark.parametrize(
    ("method", "name"),
    [("RunPodSandbox", "run_podsandbox"), ("ListContainers", "list_containers"), ("Version", "version"), ("PodSandboxStatus", "podsandbox_status")],
)
def test_calls_are_named_as_upstream_names_them(method, name):
    assert operation_name(method) == name


def test_calls_are_counted():
    metrics = KubeletMetrics()
    metrics.observe_call("RunPodSandbox", 0.02, failed=False)
    metrics.observe_call("RunPodSandbox", 0.02, failed=True)
    text = metrics.registry.to_text()
    assert 'kubelet_runtime_operations_total{operation_type="run_podsandbox"} 2' in text
    assert 'kubelet_runtime_operations_errors_total{operation_type="run_podsandbox"} 1' in text
    assert 'kubelet_runtime_operations_duration_seconds_count{operation_type="run_podsandbox"} 2' in text


async def test_probes_are_counted(tmp_path):
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
    async with running_kubelet(tmp_path) as bench:
        bench.client.seed(PODS, bound_pod(containers=[container("c", "sleep", "60", readinessProbe=probe)]))
        await bench.until(lambda: bench.condition("Ready") == "True")
        text = write_probe_metrics(bench.kubelet.pods.workers())
        labels = 'container="c",namespace="default",pod="p",pod_uid="uid-p",probe_type="Readiness",result="successful"'
        assert f"prober_probe_total{{{labels}}} " in text


async def test_pods_and_containers_are_counted_and_volumes_shown(tmp_path):
    async with running_kubelet(tmp_path) as bench:
        bench.client.seed(PODS, bound_pod(initContainers=[container("i", "true")]))
        await bench.until(lambda: bench.condition("Ready") == "True")
        reference = {"name": "c", "namespace": "default"}
        volumes = [{"pvcRef": reference, "capacityBytes": 10, "usedBytes": 4, "availableBytes": 6}]
        text = write_kubelet_metrics(bench.kubelet.pods._node, bench.kubelet.pods.workers(), volumes)
        assert "kubelet_started_pods_total 1" in text
        assert 'kubelet_started_containers_total{container_type="init_container"} 1' in text
        assert 'kubelet_running_containers{container_state="running"} 1' in text
        assert 'kubelet_running_containers{container_state="exited"} 1' in text
        assert "kubelet_running_pods 1" in text
        assert 'kubelet_volume_stats_used_bytes{namespace="default",persistentvolumeclaim="c"} 4' in text

"""/metrics/resource says what a Summary says, in Prometheus' words."""

from k3py.kubelet.server.resource_metrics import write_resource_metrics

FIGURES = {"cpu": {"usageCoreNanoSeconds": 1_500_000_000}, "memory": {"workingSetBytes": 4096}}
SUMMARY = {
    "node": {"cpu": {"usageCoreNanoSeconds": 2_000_000_000}, "memory": {"workingSetBytes": 8192}},
    "pods": [
        {
            "podRef": {"namespace": "n", "name": "p", "uid": "u"},
            "containers": [{"name": "c", **FIGURES}, {"name": "ended", **FIGURES}],
            "cpu": {"usageCoreNanoSeconds": 3_000_000_000},
            "memory": {"workingSetBytes": 8192},
        }
    ],
}


def test_every_stable_metric_is_there():
    starts = {"c": 12.5}
    lines = write_resource_metrics(SUMMARY, lambda ref, name: starts.get(name)).splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        'container_cpu_usage_seconds_total{container="c",namespace="n",pod="p"} 1.5',
        'container_cpu_usage_seconds_total{container="ended",namespace="n",pod="p"} 1.5',
        'container_memory_working_set_bytes{container="c",namespace="n",pod="p"} 4096',
        'container_memory_working_set_bytes{container="ended",namespace="n",pod="p"} 4096',
        'container_start_time_seconds{container="c",namespace="n",pod="p"} 12.5',
        "node_cpu_usage_seconds_total 2",
        "node_memory_working_set_bytes 8192",
        'pod_cpu_usage_seconds_total{namespace="n",pod="p"} 3',
        'pod_memory_working_set_bytes{namespace="n",pod="p"} 8192',
        "resource_scrape_error 0",
    ]
    assert "# TYPE node_cpu_usage_seconds_total counter" in lines

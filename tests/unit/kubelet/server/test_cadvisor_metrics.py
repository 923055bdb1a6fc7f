"""/metrics/cadvisor says what a Summary says, with the labels that dashboards choose by."""

from types import SimpleNamespace

from k3py.kubelet.server.cadvisor_metrics import ContainerFacts, write_cadvisor_metrics

CONTAINER = {
    "name": "c",
    "cpu": {"usageCoreNanoSeconds": 1_500_000_000},
    "memory": {"workingSetBytes": 4096, "usageBytes": 8192, "rssBytes": 2048},
    "rootfs": {"usedBytes": 512},
}
SUMMARY = {"pods": [{"podRef": {"namespace": "n", "name": "p", "uid": "u"}, "containers": [CONTAINER]}]}
MACHINE = SimpleNamespace(boot_id="b", machine_id="m", system_uuid="s", cpus=2, memory_bytes=1 << 30)


def test_figures_carry_image_and_place():
    facts = ContainerFacts(id="abc", image="busybox", started_s=12.5)
    text = write_cadvisor_metrics(SUMMARY, lambda ref, name: facts, MACHINE, 99.0)
    labels = 'container="c",id="/kubepods/podu/abc",image="busybox",name="abc",namespace="n",pod="p"'
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        f'container_cpu_usage_seconds_total{{{labels},cpu="total"}} 1.5',
        f'container_fs_usage_bytes{{{labels},device=""}} 512',
        f"container_last_seen{{{labels}}} 99",
        f"container_memory_rss{{{labels}}} 2048",
        f"container_memory_usage_bytes{{{labels}}} 8192",
        f"container_memory_working_set_bytes{{{labels}}} 4096",
        f"container_start_time_seconds{{{labels}}} 12.5",
        'machine_cpu_cores{boot_id="b",machine_id="m",system_uuid="s"} 2',
        'machine_memory_bytes{boot_id="b",machine_id="m",system_uuid="s"} 1073741824',
    ]


def test_container_that_does_not_run_has_no_start():
    text = write_cadvisor_metrics(SUMMARY, lambda ref, name: ContainerFacts(), MACHINE, 99.0)
    assert "container_start_time_seconds{" not in text

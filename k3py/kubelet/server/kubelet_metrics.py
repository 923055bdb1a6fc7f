"""/metrics: what the kubelet has counted, and what is there now. Source: pkg/kubelet/metrics v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.util.metrics import Computed, Registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.node_context import NodeContext
    from k3py.kubelet.pod_worker import PodWorker

_STATES: Final = {"running": "running", "exited": "exited", "created": "created", "unknown": "unknown"}
_VOLUMES: Final = {
    "kubelet_volume_stats_available_bytes": "availableBytes",
    "kubelet_volume_stats_capacity_bytes": "capacityBytes",
    "kubelet_volume_stats_used_bytes": "usedBytes",
    "kubelet_volume_stats_inodes": "inodes",
    "kubelet_volume_stats_inodes_free": "inodesFree",
    "kubelet_volume_stats_inodes_used": "inodesUsed",
}


def write_kubelet_metrics(
    node: NodeContext, workers: Sequence[PodWorker], volumes: Sequence[JsonObject]
) -> str:
    """Return the text; `volumes`: VolumeStats of claims."""
    states = dict.fromkeys(_STATES.values(), 0)
    for worker in workers:
        for record in worker.record.containers:
            states[_STATES.get(record.state, "unknown")] += 1
    running = sum((one.pod.get("status") or {}).get("phase") == "Running" for one in workers)
    registry = node.metrics.registry
    registry.add(
        Computed("kubelet_node_name", "The node's name.", ("node",), lambda: [((node.config.node_name,), 1)]),
        Computed(
            "kubelet_active_pods",
            "Pods that the kubelet works on.",
            ("static",),
            lambda: [(("",), len(workers))],
        ),
        Computed("kubelet_running_pods", "Pods with phase Running.", (), lambda: [((), running)]),
        Computed(
            "kubelet_running_containers",
            "Containers by state.",
            ("container_state",),
            lambda: [((state,), number) for state, number in states.items() if number],
        ),
    )
    for name, key in _VOLUMES.items():
        samples: list[tuple[tuple[str, ...], float]] = [
            ((one["pvcRef"]["namespace"], one["pvcRef"]["name"]), float(one[key]))
            for one in volumes
            if key in one
        ]
        registry.add(_volume_metric(name, samples))
    return registry.to_text()


def write_probe_metrics(workers: Sequence[PodWorker]) -> str:
    """Return the text of /metrics/probes."""

    def samples() -> Iterator[tuple[tuple[str, ...], float]]:
        for worker in workers:
            metadata = worker.pod["metadata"]
            for (container, kind, good), number in worker.probe_results().items():
                pod = (metadata["namespace"], metadata["name"], worker.uid)
                yield (container, *pod, kind.capitalize(), "successful" if good else "failed"), number

    registry = Registry()
    labels = ("container", "namespace", "pod", "pod_uid", "probe_type", "result")
    text = "How often a liveness, readiness or startup probe of a container succeeded or failed."
    registry.add(Computed("prober_probe_total", text, labels, samples, kind="counter"))
    return registry.to_text()


def _volume_metric(name: str, samples: list[tuple[tuple[str, ...], float]]) -> Computed:
    return Computed(
        name, "How full the volume of a claim is.", ("namespace", "persistentvolumeclaim"), lambda: samples
    )

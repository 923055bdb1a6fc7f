"""/metrics/resource: CPU and memory of the node, its pods and containers, in Prometheus' text format.

Source: pkg/kubelet/metrics/collectors/resource_metrics.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.util.metrics import Computed, Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from k3py.jsontypes import JsonObject

_POD = ("namespace", "pod")
_CONTAINER = ("container", *_POD)
_NANOSECONDS = 1e9


def write_resource_metrics(summary: JsonObject, started: Callable[[JsonObject, str], float | None]) -> str:
    """Return the text for a Summary; `started(pod_ref, container)` is when it began, seconds since the epoch."""
    node, pods = summary["node"], summary["pods"]

    def containers(what: str, key: str, scale: float) -> Iterator[tuple[tuple[str, ...], float]]:
        for pod in pods:
            ref = pod["podRef"]
            for one in pod["containers"]:
                yield (one["name"], ref["namespace"], ref["name"]), one[what][key] / scale

    def of_pods(what: str, key: str, scale: float) -> Iterator[tuple[tuple[str, ...], float]]:
        for pod in pods:
            yield (pod["podRef"]["namespace"], pod["podRef"]["name"]), pod[what][key] / scale

    def starts() -> Iterator[tuple[tuple[str, ...], float]]:
        for pod in pods:
            ref = pod["podRef"]
            for one in pod["containers"]:
                when = started(ref, one["name"])
                if when is not None:
                    yield (one["name"], ref["namespace"], ref["name"]), when

    cpu, memory = ("cpu", "usageCoreNanoSeconds", _NANOSECONDS), ("memory", "workingSetBytes", 1.0)
    registry = Registry()
    registry.add(
        Computed(
            "container_cpu_usage_seconds_total",
            "Cumulative cpu time consumed by the container in core-seconds",
            _CONTAINER,
            lambda: containers(*cpu),
            kind="counter",
        ),
        Computed(
            "container_memory_working_set_bytes",
            "Current working set of the container in bytes",
            _CONTAINER,
            lambda: containers(*memory),
        ),
        Computed(
            "container_start_time_seconds",
            "Start time of the container since unix epoch in seconds",
            _CONTAINER,
            starts,
        ),
        Computed(
            "node_cpu_usage_seconds_total",
            "Cumulative cpu time consumed by the node in core-seconds",
            (),
            lambda: (((), node["cpu"]["usageCoreNanoSeconds"] / _NANOSECONDS),),
            kind="counter",
        ),
        Computed(
            "node_memory_working_set_bytes",
            "Current working set of the node in bytes",
            (),
            lambda: (((), node["memory"]["workingSetBytes"]),),
        ),
        Computed(
            "pod_cpu_usage_seconds_total",
            "Cumulative cpu time consumed by the pod in core-seconds",
            _POD,
            lambda: of_pods(*cpu),
            kind="counter",
        ),
        Computed(
            "pod_memory_working_set_bytes",
            "Current working set of the pod in bytes",
            _POD,
            lambda: of_pods(*memory),
        ),
        Computed(
            "resource_scrape_error",
            "1 if there was an error while getting container metrics, 0 otherwise",
            (),
            lambda: (((), 0),),
        ),
    )
    return registry.to_text()

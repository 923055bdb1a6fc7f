"""/metrics/cadvisor: the figures of containers that the runtime knows, under the names that dashboards ask for.

What takes a look into each container's cgroup and network namespace (throttling, block devices, interfaces) is left out.
Source: github.com/google/cadvisor/metrics/prometheus.go v0.53.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.util.metrics import Computed, Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.machine import Machine

    Samples = Iterator[tuple[tuple[str, ...], float]]

_LABELS: Final = ("container", "id", "image", "name", "namespace", "pod")
_NANOSECONDS: Final = 1e9
_MACHINE: Final = ("boot_id", "machine_id", "system_uuid")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerFacts:
    """What the status of a container says: its id without scheme, its image, when it began (seconds since the epoch)."""

    id: str = ""
    image: str = ""
    started_s: float | None = None


def write_cadvisor_metrics(
    summary: JsonObject,
    find_facts: Callable[[JsonObject, str], ContainerFacts],
    machine: Machine,
    now_s: float,
) -> str:
    """Return the text for a Summary; `find_facts(pod_ref, container)` tells what the figures do not."""
    rows: list[tuple[tuple[str, ...], JsonObject, ContainerFacts]] = []
    for pod in summary["pods"]:
        ref = pod["podRef"]
        for one in pod["containers"]:
            facts = find_facts(ref, one["name"])
            path = f"/kubepods/pod{ref['uid']}/{facts.id}"
            labels = (one["name"], path, facts.image, facts.id, ref["namespace"], ref["name"])
            rows.append((labels, one, facts))

    def figures(what: str, key: str, scale: float = 1.0, *more: str) -> Callable[[], Samples]:
        return lambda: (((*labels, *more), one[what].get(key, 0) / scale) for labels, one, _ in rows)

    def starts() -> Samples:
        return ((labels, facts.started_s) for labels, _, facts in rows if facts.started_s is not None)

    about = (machine.boot_id, machine.machine_id, machine.system_uuid)
    registry = Registry()
    registry.add(
        Computed(
            "container_cpu_usage_seconds_total",
            "Cumulative cpu time consumed in seconds.",
            (*_LABELS, "cpu"),
            figures("cpu", "usageCoreNanoSeconds", _NANOSECONDS, "total"),
            kind="counter",
        ),
        Computed(
            "container_memory_usage_bytes",
            "Current memory usage in bytes.",
            _LABELS,
            figures("memory", "usageBytes"),
        ),
        Computed(
            "container_memory_working_set_bytes",
            "Current working set in bytes.",
            _LABELS,
            figures("memory", "workingSetBytes"),
        ),
        Computed("container_memory_rss", "Size of RSS in bytes.", _LABELS, figures("memory", "rssBytes")),
        Computed(
            "container_fs_usage_bytes",
            "Bytes of the writable layer.",
            (*_LABELS, "device"),
            figures("rootfs", "usedBytes", 1.0, ""),
        ),
        Computed(
            "container_start_time_seconds",
            "Start time of the container since unix epoch in seconds.",
            _LABELS,
            starts,
        ),
        Computed(
            "container_last_seen",
            "Last time a container was seen.",
            _LABELS,
            lambda: ((labels, now_s) for labels, _, _ in rows),
        ),
        Computed(
            "machine_cpu_cores", "Number of logical CPU cores.", _MACHINE, lambda: ((about, machine.cpus),)
        ),
        Computed(
            "machine_memory_bytes",
            "Amount of memory installed on the machine.",
            _MACHINE,
            lambda: ((about, machine.memory_bytes),),
        ),
    )
    return registry.to_text()

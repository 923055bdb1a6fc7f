"""From two summaries of a kubelet to usage between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from k3py.jsontypes import JsonObject

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Point:
    """CPU time used so far in ns, memory in bytes, and when that was so (monotonic s)."""

    cpu_ns: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU in billionths of a core, memory in bytes."""

    cpu_nanocores: int
    memory_bytes: int

    def to_document(self) -> JsonObject:
        """Return a ResourceList."""
        kib, rest = divmod(self.memory_bytes, 1024)
        memory = str(self.memory_bytes) if rest else f"{kib}Ki"
        return {"cpu": f"{self.cpu_nanocores}n" if self.cpu_nanocores else "0", "memory": memory}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a kubelet said at one moment.

    taken_s: monotonic seconds; time: the wall clock's. containers: by (pod's uid, container's name).
    """

    taken_s: float
    time: datetime
    node: Point | None
    containers: dict[tuple[str, str], Point] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUsage:
    """Usage of a node and of its containers by (pod's uid, container's name) over `window_s`, up to `time`."""

    taken_s: float
    time: datetime
    window_s: float
    node: Usage | None
    containers: dict[tuple[str, str], Usage]

    def containers_of(self, uid: str) -> dict[str, Usage]:
        """Return the usage of a pod's containers by name."""
        return {name: usage for (pod, name), usage in self.containers.items() if pod == uid}


def read_summary(summary: JsonObject, *, taken_s: float, time: datetime) -> Sample:
    """Read a Summary of /stats/summary; containers without figures are left out."""
    containers = {}
    for pod in summary.get("pods") or ():
        uid = str((pod.get("podRef") or {}).get("uid", ""))
        for container in pod.get("containers") or ():
            point = _point(container)
            if point is not None:
                containers[uid, str(container.get("name", ""))] = point
    return Sample(taken_s=taken_s, time=time, node=_point(summary.get("node") or {}), containers=containers)


def _point(stats: JsonObject) -> Point | None:
    cpu = (stats.get("cpu") or {}).get("usageCoreNanoSeconds")
    memory = (stats.get("memory") or {}).get("workingSetBytes")
    if cpu is None or not memory:
        return None  # it starts, or has ended
    return Point(int(cpu), int(memory))


def compare(before: Sample, after: Sample) -> NodeUsage:
    """Return the usage between two samples; what is in one only, or began anew, is left out."""
    window_s = after.taken_s - before.taken_s
    containers = {}
    for key, point in after.containers.items():
        usage = _usage(before.containers.get(key), point, window_s)
        if usage is not None:
            containers[key] = usage
    return NodeUsage(
        taken_s=after.taken_s,
        time=after.time,
        window_s=window_s,
        node=_usage(before.node, after.node, window_s) if after.node is not None else None,
        containers=containers,
    )


def _usage(before: Point | None, after: Point, window_s: float) -> Usage | None:
    if before is None or after.cpu_ns < before.cpu_ns or window_s <= 0:
        return None
    return Usage(int((after.cpu_ns - before.cpu_ns) / window_s), after.memory_bytes)

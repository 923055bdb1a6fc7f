"""/stats/summary: what kubectl top and the metrics API are made of, as far as the runtime tells it.

Source: k8s.io/kubelet/pkg/apis/stats/v1alpha1 v0.35.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from k3py.kubelet.labels import CONTAINER_NAME, POD_NAME, POD_NAMESPACE, POD_UID
from k3py.kubelet.machine import read_pressure
from k3py.kubelet.status import timestamp
from k3py.kubelet.volumes.stats import volume_stats
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.node_context import NodeContext


async def summarize(node: NodeContext, with_volumes: Sequence[JsonObject] = ()) -> JsonObject:
    """Return the Summary; with_volumes: pods whose claims' volumes are looked at, too. Raises the runtime's conditions."""
    stats = await node.runtime.container_stats()
    pods: dict[str, JsonObject] = {}
    for one in stats:
        labels = one["attributes"].get("labels") or {}
        uid = labels.get(POD_UID)
        if not uid:
            continue
        pod = pods.setdefault(
            uid,
            {
                "podRef": {
                    "name": labels.get(POD_NAME, ""),
                    "namespace": labels.get(POD_NAMESPACE, ""),
                    "uid": uid,
                },
                "startTime": None,
                "containers": [],
            },
        )
        pod["containers"].append(_container(labels.get(CONTAINER_NAME, ""), one))
    for pod in pods.values():
        pod.update(_totals(pod["containers"]))
    for one in with_volumes:
        entry = pods.get(one["metadata"]["uid"])
        if entry is not None and (volumes := await volume_stats(node, one)):
            entry["volume"] = volumes
    return {"node": await asyncio.to_thread(_node, node), "pods": list(pods.values())}


def _container(name: str, stats: JsonObject) -> JsonObject:
    cpu, memory, layer = stats.get("cpu") or {}, stats.get("memory") or {}, stats.get("writable_layer") or {}
    return {
        "name": name,
        "startTime": None,
        "cpu": {
            "time": timestamp(int(cpu.get("timestamp", 0)) / 1e9),
            "usageNanoCores": _value(cpu.get("usage_nano_cores")),
            "usageCoreNanoSeconds": _value(cpu.get("usage_core_nano_seconds")),
        },
        "memory": {
            "time": timestamp(int(memory.get("timestamp", 0)) / 1e9),
            "workingSetBytes": _value(memory.get("working_set_bytes")),
            "usageBytes": _value(memory.get("usage_bytes")),
            "rssBytes": _value(memory.get("rss_bytes")),
        },
        "rootfs": {
            "time": timestamp(int(layer.get("timestamp", 0)) / 1e9),
            "usedBytes": _value(layer.get("used_bytes")),
            "inodesUsed": _value(layer.get("inodes_used")),
        },
    }


def _totals(containers: list[JsonObject]) -> JsonObject:
    """Return a pod's figures: the sums of its containers'."""

    def total(what: str, key: str) -> int:
        return sum(one[what][key] for one in containers)

    time = max(one["cpu"]["time"] for one in containers)
    return {
        "cpu": {
            "time": time,
            "usageNanoCores": total("cpu", "usageNanoCores"),
            "usageCoreNanoSeconds": total("cpu", "usageCoreNanoSeconds"),
        },
        "memory": {
            "time": time,
            "workingSetBytes": total("memory", "workingSetBytes"),
            "usageBytes": total("memory", "usageBytes"),
            "rssBytes": total("memory", "rssBytes"),
        },
    }


def _value(wrapped: JsonObject | None) -> int:
    return int((wrapped or {}).get("value", 0))


def _node(node: NodeContext) -> JsonObject:
    pressure = read_pressure(node.config.root_dir)
    # Clock ticks are 1/100 s on every Linux that matters; columns: user nice system idle iowait irq softirq steal.
    ticks = [
        int(one) for one in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    ]
    busy_ns = (sum(ticks) - ticks[3] - ticks[4]) * 10_000_000
    return {
        "nodeName": node.config.node_name,
        "startTime": None,
        "cpu": {"time": timestamp(clock.wall_s()), "usageCoreNanoSeconds": busy_ns},
        "memory": {
            "time": timestamp(clock.wall_s()),
            "availableBytes": pressure.memory_available_bytes,
            "workingSetBytes": node.machine.memory_bytes - pressure.memory_available_bytes,
        },
        "fs": {
            "availableBytes": pressure.disk_available_bytes,
            "capacityBytes": pressure.disk_size_bytes,
            "usedBytes": pressure.disk_size_bytes - pressure.disk_available_bytes,
        },
    }

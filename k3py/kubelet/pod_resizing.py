"""Gives running containers other resources: pod's cgroup and containers, in an order in which nothing is ever too tight.

Source: pkg/kubelet/kuberuntime/kuberuntime_manager.go doPodResizeAction v1.35.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from k3py.errors import K3pyError
from k3py.kubelet.amounts import whole
from k3py.kubelet.pod_resize import resizable
from k3py.kubelet.qos import linux_resources, pod_resources, qos_class

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject
    from k3py.kubelet.pod_operations import PodOperations
    from k3py.kubelet.pod_worker import PodWorker
    from k3py.kubelet.runtime_state import ContainerRecord


class ResizeFailed(K3pyError):
    """Resources cannot be changed now; told in PodResizeInProgress and tried again."""


OWN_CPUS: Final = "Resize is infeasible for Guaranteed Pods alongside CPU Manager static policy"


def _has_own_cpus(worker: PodWorker) -> bool:
    devices = worker.node.devices
    is_static = devices is not None and devices.cpus is not None
    return is_static and worker.resize.is_wanted(worker.pod) and qos_class(worker.pod) == "Guaranteed"


def advance_resize(worker: PodWorker, operations: PodOperations) -> bool:
    """Decide on what a pod asks for, and begin to give it; say whether something is to be given."""
    resize, pod = worker.resize, worker.pod
    if resize.is_wanted(pod) or resize.condition is not None:
        before = resize.condition
        others = worker.node.given_to_others(worker.uid)
        if _has_own_cpus(worker):
            resize.refuse(OWN_CPUS)
        elif resize.decide(pod, worker.record, worker.node.allocatable, others):
            worker.events.normal("ResizeStarted", f"Pod resize started: {resize.describe(pod)}")
            worker.node.room_made()
        if resize.condition is not None and (before is None or before[0] != resize.condition[0]):
            reason, message = resize.condition
            worker.events.warning(f"Resize{reason}", f"Pod resize {reason}: {message}")
    if not resize.changes(pod, worker.record):
        return False
    operations.resize()
    return True


async def resize_pod(worker: PodWorker) -> None:
    """Give a pod's running containers what they have been allocated, but for those that need a restart for it.

    Raises:
        ResizeFailed: memory would shrink below what is used.
        RuntimeFailure: the runtime refused.
    """
    node, resize = worker.node, worker.resize
    pod = resize.effective(worker.pod)
    restarts = resize.restarts(worker.pod)
    old, new = _pod_before(worker, pod), pod_resources(pod)
    await _check_memory(worker, restarts)
    if node.cgroups is not None:
        await asyncio.to_thread(node.cgroups.update_pod, pod, _widest(old, new))
    for container, record in resize.changes(worker.pod, worker.record):
        if container["name"] not in restarts:
            linux = linux_resources(pod, container, node_memory_bytes=node.machine.memory_bytes)
            await node.runtime.update_container_resources(record.id, linux)
            resize.note_actuated(container)
    if node.cgroups is not None and not restarts:
        await asyncio.to_thread(node.cgroups.update_pod, pod, new)


def _pod_before(worker: PodWorker, pod: JsonObject) -> JsonObject:
    """Return the limits of the pod's cgroup as its containers are now."""
    spec = dict(pod["spec"])
    names = {one["name"] for one in resizable(pod)}
    for part in ("containers", "initContainers"):
        spec[part] = [
            {**one, "resources": worker.resize.actuated(one)} if one["name"] in names else one
            for one in spec.get(part) or ()
        ]
    return pod_resources({**pod, "spec": spec})


def _widest(old: JsonObject, new: JsonObject) -> JsonObject:
    """Return limits within which both fit; 0 = none."""
    found = {"shares": max(old["shares"], new["shares"])}
    for key in ("quota_us", "memory_bytes"):
        found[key] = max(old[key], new[key]) if old[key] and new[key] else 0
    return found


async def _check_memory(worker: PodWorker, restarts: frozenset[str]) -> None:
    """Refuse a memory limit below what a container uses: the kernel would kill it."""
    shrinking: list[tuple[str, int, ContainerRecord]] = []
    for container, record in worker.resize.changes(worker.pod, worker.record):
        before, after = (
            _memory_limit(worker.resize.actuated(container)),
            _memory_limit(container["resources"]),
        )
        if after and (not before or after < before) and container["name"] not in restarts:
            shrinking.append((container["name"], after, record))
    if not shrinking:
        return
    sandbox = worker.record.sandbox
    stats = await worker.node.runtime.container_stats(sandbox_id="" if sandbox is None else sandbox.id)
    used = {
        one["attributes"]["id"]: int(
            (((one.get("memory") or {}).get("usage_bytes")) or {}).get("value", 0)
            or (((one.get("memory") or {}).get("working_set_bytes")) or {}).get("value", 0)
        )
        for one in stats
    }
    for name, limit, record in shrinking:
        if (usage := used.get(record.id, 0)) >= limit:
            raise ResizeFailed(
                f"attempting to set memory limit of container {name} ({limit}) below current usage ({usage})"
            )


def _memory_limit(resources: JsonObject) -> int:
    return whole((resources.get("limits") or {}).get("memory") or 0)

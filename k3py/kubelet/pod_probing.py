"""Begins the probes of what runs in a pod, and ends those of what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.kubelet.pod import find_container

if TYPE_CHECKING:
    from k3py.kubelet.pod_operations import PodOperations
    from k3py.kubelet.pod_worker import PodWorker
    from k3py.kubelet.probes import Prober


def watch_containers(worker: PodWorker, prober: Prober, operations: PodOperations) -> None:
    """Begin probes of what runs, end those of what does not."""
    running = {one.id for one in worker.record.running()}
    prober.forget(running)
    known = {
        one.get("containerID", "").rpartition("/")[2]: one
        for part in ("containerStatuses", "initContainerStatuses")
        for one in (worker.pod.get("status") or {}).get(part) or ()
    }
    for one in worker.record.running():
        found = find_container(worker.pod, one.name)
        if found is None or one.name in operations.keys or prober.is_watched(one.id):
            continue
        before = known.get(one.id) or {}
        prober.watch(
            operations.target(one.id, found[1]),
            worker.events,
            was_started=bool(before.get("started")),
            was_ready=bool(before.get("ready")),
        )

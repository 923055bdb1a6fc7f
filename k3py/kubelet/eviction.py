"""Ends pods when memory or the disk runs out on the node: first what nobody needs goes, then one pod at a time.

Thresholds are those of the node's conditions (`thresholds`). Source: pkg/kubelet/eviction v1.35.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.kubelet.admission import pod_requests
from k3py.kubelet.labels import CONTAINER_NAME, POD_UID
from k3py.kubelet.pod import containers, is_critical, is_finished, is_static
from k3py.kubelet.sandbox_config import log_directory
from k3py.runtime.errors import RuntimeFailure
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.machine import Pressure
    from k3py.kubelet.node_context import NodeContext
    from k3py.kubelet.pod_worker import PodWorker
    from k3py.kubelet.thresholds import Met

log = logging.getLogger(__name__)

EVICTED: Final = "Evicted"
_BYTES: Final = ("memory", "ephemeral-storage")


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes that a pod uses, in all and by container."""

    total: int
    containers: Mapping[str, int]


def describe(met: Met) -> tuple[str, str, str]:
    """Return (what runs out, the threshold, what is left)."""
    limit, left = met.threshold.amount.of(met.level.capacity), met.level.available
    if met.resource == "memory":
        return met.resource, _kibibytes(limit), _kibibytes(left)
    if met.resource == "ephemeral-storage":
        return met.resource, str(limit), _kibibytes(left)
    return met.resource, str(limit), str(left)


def rank(pods: Iterable[JsonObject], usage: Mapping[str, Usage], resource: str) -> list[JsonObject]:
    """Return the pods that may go, who goes first in front.

    Who uses more than requested goes before who does not, the less important before the more important, the greatest excess first.
    """

    def order(pod: JsonObject) -> tuple[bool, int, int]:
        used = usage.get(pod["metadata"]["uid"])
        excess = (used.total if used is not None else 0) - _request(pod, resource)
        return excess <= 0, int(pod["spec"].get("priority") or 0), -excess

    return sorted((one for one in pods if not is_critical(one) and not is_static(one)), key=order)


def explain(pod: JsonObject, usage: Usage | None, starved: tuple[str, str, str]) -> str:
    """Return why a pod has to go."""
    resource, threshold, left = starved
    text = f"The node was low on resource: {resource}. Threshold quantity: {threshold}, available: {left}. "
    for container in containers(pod):
        used = 0 if usage is None else usage.containers.get(container["name"], 0)
        requested = _request({"spec": {"containers": [container]}}, resource)
        if used > requested:
            text += (
                f"Container {container['name']} was using {_kibibytes(used)}, request is {requested}, "
                f"has larger consumption of {resource}. "
            )
    return text


def _request(pod: JsonObject, resource: str) -> int:
    """Return bytes; `pod_requests` counts cpu in thousandths and all else in whole units."""
    return int(pod_requests(pod).get(resource, 0))


def _kibibytes(amount: int) -> str:
    return f"{amount >> 10}Ki"


class EvictionManager:
    """Looks at the node when asked to.

    Args:
        node: what pods share.
        workers: returns the pods of the node.
        read_pressure: looks at memory and disk; blocking.
        free_disk: removes what nobody needs.
    """

    def __init__(
        self,
        node: NodeContext,
        workers: Callable[[], Sequence[PodWorker]],
        read_pressure: Callable[[Path, Path | None], Pressure],
        free_disk: Callable[[], Awaitable[None]],
    ) -> None:
        self._node = node
        self._workers = workers
        self._read_pressure = read_pressure
        self._free_disk = free_disk
        self._victim: PodWorker | None = None
        self.is_busy = False

    async def check(self) -> None:
        """Evict a pod if something runs out and nothing else helps; the last one must have gone before."""
        if self.is_busy:
            return
        self.is_busy = True
        try:
            await self._check()
        except (OSError, RuntimeFailure) as error:
            log.warning("cannot look for pods to evict", extra={"error": str(error)})
        finally:
            self.is_busy = False

    async def _check(self) -> None:
        met = await self._look()
        if met is None:
            return
        if met.resource in ("ephemeral-storage", "inodes"):
            await self._free_disk()
            met = await self._look()
        going = self._victim
        if met is None or (going is not None and not going.is_done and going in self._workers()):
            return
        starved = describe(met)
        running = {one.uid: one for one in self._workers() if not one.is_ending and not is_finished(one.pod)}
        usage = await self._measure([one.pod for one in running.values()], starved[0])
        for pod in rank((one.pod for one in running.values()), usage, starved[0]):
            worker = running[pod["metadata"]["uid"]]
            message = explain(pod, usage.get(worker.uid), starved)
            log.warning("pod is evicted", extra={"pod": pod["metadata"]["name"], "starved": starved[0]})
            worker.events.warning(EVICTED, message)
            self._node.metrics.evictions.add(met.threshold.signal)
            soft_s = float(self._node.config.settings.soft_grace_s)
            worker.fail(EVICTED, message, grace_s=1.0 if met.threshold.grace_s is None else max(1.0, soft_s))
            self._victim = worker
            return

    async def _look(self) -> Met | None:
        config = self._node.config
        pressure = await asyncio.to_thread(self._read_pressure, config.root_dir, config.image_dir)
        return next(iter(self._node.thresholds.look(pressure, clock.monotonic_s())), None)

    async def _measure(self, pods: Sequence[JsonObject], resource: str) -> dict[str, Usage]:
        by_pod: dict[str, dict[str, int]] = {}
        for one in await self._node.runtime.container_stats():
            labels = one["attributes"].get("labels") or {}
            if resource not in _BYTES:
                value = None
            elif resource == "memory":
                value = (one.get("memory") or {}).get("working_set_bytes")
            else:
                value = (one.get("writable_layer") or {}).get("used_bytes")
            own = by_pod.setdefault(labels.get(POD_UID, ""), {})
            own[labels.get(CONTAINER_NAME, "")] = int((value or {}).get("value") or 0)
        extra: Mapping[str, int] = {}
        if resource != "memory":
            extra = await asyncio.to_thread(self._measure_folders, pods)
        return {
            uid: Usage(sum(by_pod.get(uid, {}).values()) + extra.get(uid, 0), by_pod.get(uid, {}))
            for uid in (pod["metadata"]["uid"] for pod in pods)
        }

    def _measure_folders(self, pods: Sequence[JsonObject]) -> dict[str, int]:
        """Return the bytes of emptyDir volumes and logs by pod."""
        config = self._node.config
        found = {}
        for pod in pods:
            uid = pod["metadata"]["uid"]
            folders = (
                config.pod_dir(uid) / "volumes" / "kubernetes.io~empty-dir",
                log_directory(config.pod_logs_dir, pod),
            )
            found[uid] = sum(_folder_bytes(folder) for folder in folders)
        return found


def _folder_bytes(folder: Path) -> int:
    """Return what files below a folder take on the disk, other file systems left out; what vanishes meanwhile counts nothing."""
    try:
        device = folder.stat().st_dev
    except OSError:
        return 0
    total = 0
    for path, names, files in os.walk(folder):
        kept = []
        for name in (*names, *files):
            try:
                found = os.lstat(f"{path}/{name}")
            except OSError:
                continue
            if found.st_dev == device:
                total += found.st_blocks * 512
                kept.append(name)
        names[:] = [name for name in names if name in kept]
    return total

"""Takes a pod down: dead containers behind restarts, volumes and cgroup at its end, everything when it is deleted.

Source: pkg/kubelet/kubelet.go SyncTerminatedPod, pkg/kubelet/kuberuntime/kuberuntime_gc.go v1.35 (one dead container a name is kept).
"""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

from k3py.api.resource import PODS
from k3py.api.status import ApiError
from k3py.kubelet.sandbox_config import log_directory
from k3py.kubelet.volumes.manager import remove_pod_dir

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.kubelet.pod_worker import PodWorker
    from k3py.kubelet.runtime_state import ContainerRecord


class PodRemoval:
    """What is removed of one pod, and when."""

    def __init__(self, worker: PodWorker) -> None:
        self._worker = worker
        self._node = worker.node

    def superfluous(self, busy: frozenset[str]) -> list[ContainerRecord]:
        """Return dead containers beside the newest dead one of each name."""
        seen: set[str] = set()
        found = []
        for record in self._worker.record.containers:
            if record.state != "exited" or record.name in busy:
                continue
            if record.name in seen:
                found.append(record)
            seen.add(record.name)
        return found

    async def clean(self, dead: Sequence[ContainerRecord]) -> None:
        """Remove dead containers, and old sandboxes that hold none any more."""
        for record in dead:
            await self._remove_container(record)
        used = {one.sandbox_id for one in self._worker.record.containers} - {one.sandbox_id for one in dead}
        for sandbox in self._worker.record.sandboxes[1:]:
            if not sandbox.ready and sandbox.id not in used:
                await self._node.runtime.remove_pod_sandbox(sandbox.id)
                self._node.owners.pop(sandbox.id, None)

    async def finish(self, *, gone: bool) -> bool:
        """Take down volumes and cgroup and send the last status; if the pod is deleted, remove it everywhere.

        Returns:
            Whether the pod is gone; else only its status, logs and dead containers stay.
        """
        worker, node = self._worker, self._node
        pod_dir = node.config.pod_dir(worker.uid)
        # Parts of volumes that are mounted by themselves hold these.
        await asyncio.to_thread(remove_pod_dir, pod_dir / "volume-subpaths", node.mounter)
        if node.csi is not None:
            await node.csi.take_down(worker.uid)
        if node.devices is not None:
            await node.devices.release(worker.uid)
        await asyncio.to_thread(remove_pod_dir, pod_dir / "volumes", node.mounter)
        if node.cgroups is not None:
            await asyncio.to_thread(node.cgroups.remove_pod, worker.pod)
        node.objects.release(worker.uid)
        if not worker.removed:
            await worker.send_status()
        if not gone:
            return False
        if not worker.removed:
            await self._delete()
        for record in worker.record.containers:
            await self._remove_container(record)
        for sandbox in worker.record.sandboxes:
            await node.runtime.remove_pod_sandbox(sandbox.id)
            node.owners.pop(sandbox.id, None)
        await asyncio.to_thread(self._remove_files)
        return True

    async def _remove_container(self, record: ContainerRecord) -> None:
        await self._node.runtime.remove_container(record.id)
        self._node.owners.pop(record.id, None)
        await asyncio.to_thread(self._remove_log, record)

    def _remove_log(self, record: ContainerRecord) -> None:
        config, metadata = self._node.config, self._worker.pod["metadata"]
        directory = log_directory(config.pod_logs_dir, self._worker.pod) / record.name
        for path in directory.glob(f"{record.attempt}.log*"):
            path.unlink(missing_ok=True)
        if config.container_logs_dir is not None:
            link = f"{metadata['name']}_{metadata['namespace']}_{record.name}-{record.id}.log"
            (config.container_logs_dir / link).unlink(missing_ok=True)

    async def _delete(self) -> None:
        metadata = self._worker.pod["metadata"]
        try:
            await self._node.client.delete(
                PODS,
                metadata["name"],
                namespace=metadata["namespace"],
                grace_period_s=0,
                uid=self._worker.uid,
            )
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    def _remove_files(self) -> None:
        remove_pod_dir(self._node.config.pod_dir(self._worker.uid), self._node.mounter)
        shutil.rmtree(log_directory(self._node.config.pod_logs_dir, self._worker.pod), ignore_errors=True)

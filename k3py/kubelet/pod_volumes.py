"""The volumes of one pod, and its devices before them: set up, kept up to date, tried again with growing pauses."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from k3py.kubelet.device_plugins.allocation import DevicesUnavailable
from k3py.kubelet.dra.claims import ClaimsNotPrepared
from k3py.kubelet.volumes.interface import VolumeContext, VolumeError
from k3py.kubelet.volumes.manager import set_up_volumes
from k3py.util import clock

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.kubelet.pod_worker import PodWorker

_RETRY_S: Final = 0.5
_RETRY_MAX_S: Final = 122.0


class PodVolumes:
    """See the module.

    Attributes:
        paths: host paths by name, None = not there yet.
        stale: they have to be brought up to date.
        retry_s: when to try again, seconds since the epoch; None = no failure.
    """

    def __init__(self, worker: PodWorker) -> None:
        self._worker = worker
        self._node = worker.node
        self._failures = 0
        self.paths: dict[str, Path] | None = None
        self.stale = True
        self.retry_s: float | None = None

    @property
    def is_due(self) -> bool:
        """Say whether there is something to do now."""
        return self.stale and (self.retry_s is None or self.retry_s <= clock.wall_s())

    def refresh(self) -> None:
        """Set them up again now: what they show has changed, or what was missing is there."""
        self.stale = True
        self.retry_s = None

    async def set_up(self) -> None:
        """Set them up, or bring them up to date. Raises K3pyError, OSError."""
        self.stale = False
        context = self._context()
        if self.paths is None:
            if self._node.devices is not None:
                await self._node.devices.prepare(self._worker.pod)
            await asyncio.to_thread(context.pod_dir.mkdir, mode=0o750, parents=True, exist_ok=True)
            self.paths = await set_up_volumes(context)
        else:
            await set_up_volumes(context, only_updated=True)
        self._failures = 0
        self.retry_s = None

    def _context(self) -> VolumeContext:
        pod = self._worker.pod
        return VolumeContext(
            pod=pod,
            pod_dir=self._node.config.pod_dir(self._worker.uid),
            mounter=self._node.mounter,
            objects=self._node.objects.view(pod),
            allocatable=self._node.allocatable,
            host_ips=self._node.config.node_ips,
            csi=self._node.csi,
        )

    def failed(self, error: Exception) -> None:
        """Tell why they are not there, and try again later; a pod whose devices are not there at all fails."""
        delay_s = min(_RETRY_S * 2**self._failures, _RETRY_MAX_S)
        self._failures += 1
        self.stale = True
        self.retry_s = clock.wall_s() + delay_s
        if isinstance(error, DevicesUnavailable) and not self._worker.record.containers:
            self._worker.events.warning("UnexpectedAdmissionError", str(error))
            self._worker.fail("UnexpectedAdmissionError", str(error))
            return
        reason = "FailedMount"
        if isinstance(error, ClaimsNotPrepared):
            reason = "FailedPrepareDynamicResources"
        elif isinstance(error, VolumeError):
            reason = error.reason
        self._worker.events.warning(reason, str(error))

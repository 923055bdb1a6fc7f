"""What containers get beside their files: devices of plugins, claimed devices, CPUs of their own. One place for pods' workers.

    pod arrives ──prepare──► devices chosen, claims prepared   container ──of──► environment, mounts, devices, CDI names   pod ends ──release

Source: pkg/kubelet/cm/container_manager_linux.go GetResources v1.35.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from k3py.kubelet.dra.claims import ClaimsNotPrepared

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject
    from k3py.kubelet.cpus.manager import CpuManager
    from k3py.kubelet.device_plugins.manager import DeviceManager
    from k3py.kubelet.dra.claims import ClaimManager

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerDevices:
    """What is added to a container's configuration.

    mounts, devices: CRI's Mounts and Devices. cdi: CDI names. cpus: where it runs, "" = anywhere.
    """

    environment: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    mounts: list[JsonObject] = field(default_factory=list)
    devices: list[JsonObject] = field(default_factory=list)
    cdi: list[str] = field(default_factory=list)
    cpus: str = ""


class PodDevices:
    """Devices of a node's pods.

    Args:
        plugins: device plugins.
        claims: drivers of claimed devices.
        cpus: who has which CPUs, None = all share all.
    """

    def __init__(self, plugins: DeviceManager, claims: ClaimManager, cpus: CpuManager | None = None) -> None:
        self.plugins = plugins
        self.claims = claims
        self.cpus = cpus

    async def prepare(self, pod: JsonObject) -> None:
        """Choose a pod's devices and have its claims prepared, before its containers start.

        Raises:
            DevicesUnavailable: it cannot have them: the pod fails.
            ClaimsNotPrepared: not now: tried again.
        """
        if self.cpus is not None:
            await self.cpus.allocate(pod)
        await self.plugins.allocate(pod)
        await self.claims.prepare(pod)

    async def pre_start(self, pod: JsonObject, container: JsonObject) -> None:
        """Have a container's devices made ready. Raises RuntimeFailure."""
        await self.plugins.pre_start(pod["metadata"]["uid"], container["name"])

    def of(self, pod: JsonObject, container: JsonObject) -> ContainerDevices:
        """Return what a container gets."""
        cpus = "" if self.cpus is None else self.cpus.cpus_of(pod["metadata"]["uid"], container["name"])
        found = ContainerDevices(cdi=self.claims.cdi_of(pod, container), cpus=cpus)
        for one in self.plugins.of(pod["metadata"]["uid"], container["name"]):
            _merge(found, one.response)
        return found

    async def release(self, uid: str) -> None:
        """Take back what a pod has.

        Raises:
            ClaimsNotPrepared: a driver cannot take its devices back now.
        """
        await self.claims.release(uid)
        await self.plugins.release(uid)
        if self.cpus is not None:
            await self.cpus.release(uid)

    async def clean(self, known: frozenset[str]) -> None:
        """Take back what pods have that are here no more, as far as their drivers are there."""
        await self.plugins.keep_only(known)
        if self.cpus is not None:
            await self.cpus.keep_only(known)
        try:
            await self.claims.clean(known)
        except ClaimsNotPrepared as error:
            log.warning("claims of pods that are gone stay prepared", extra={"error": str(error)})


def knows_cdi(runtime: str, version: str) -> bool:
    """Say whether a runtime brings devices by their CDI names; containerd before 1.7 leaves such devices out without a word."""
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    return runtime != "containerd" or numbers is None or (int(numbers[1]), int(numbers[2])) >= (1, 7)


def _merge(found: ContainerDevices, response: JsonObject) -> None:
    """Add a plugin's answer; of two that say the same thing differently, the first wins."""
    for key, value in response["envs"].items():
        found.environment.setdefault(key, value)
    for key, value in response["annotations"].items():
        found.annotations.setdefault(key, value)
    there = {one["container_path"] for one in found.mounts}
    for mount in response["mounts"]:
        if mount["container_path"] not in there:
            found.mounts.append(
                {
                    "container_path": mount["container_path"],
                    "host_path": mount["host_path"],
                    "readonly": mount["read_only"],
                }
            )
    there = {one["container_path"] for one in found.devices}
    for device in response["devices"]:
        if device["container_path"] not in there:
            found.devices.append(dict(device))
    found.cdi.extend(one["name"] for one in response["cdi_devices"] if one["name"] not in found.cdi)

"""Tells monitors on the node which devices which container has: v1.PodResourcesLister on <root>/pod-resources/kubelet.sock.

Source: pkg/kubelet/apis/podresources v1.35; k8s.io/kubelet/pkg/apis/podresources/v1.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from k3py.kubelet.pod import containers, init_containers, is_finished, is_sidecar
from k3py.runtime.errors import RuntimeNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.cpus.manager import CpuManager
    from k3py.kubelet.device_plugins.manager import DeviceManager
    from k3py.kubelet.dra.claims import ClaimManager

_SERVICE: Final = "/v1.PodResourcesLister/"


class PodResources:
    """See the module.

    Args:
        folder: where the socket is made.
        pods: returns the pods of the node.
        devices: of device plugins.
        claims: claimed ones.
        cpus: who has which CPUs, None = all share all.
    """

    def __init__(
        self,
        folder: Path,
        pods: Callable[[], Sequence[JsonObject]],
        devices: DeviceManager,
        claims: ClaimManager,
        cpus: CpuManager | None = None,
    ) -> None:
        self._folder = folder
        self._pods = pods
        self._devices = devices
        self._claims = claims
        self._cpus = cpus

    async def run(self) -> None:
        """Answer until cancelled."""
        from k3py.kubelet.plugins.server import serve_socket  # noqa: PLC0415 - with the socket, not with the module

        answers = {
            _SERVICE + "List": self._list,
            _SERVICE + "Get": self._get,
            _SERVICE + "GetAllocatableResources": self._allocatable,
        }
        async with serve_socket(self._folder / "kubelet.sock", answers):
            await asyncio.Event().wait()

    async def _list(self, _: JsonObject) -> JsonObject:
        return {"pod_resources": [self._of_pod(one) for one in self._pods() if not is_finished(one)]}

    async def _get(self, request: JsonObject) -> JsonObject:
        for pod in self._pods():
            metadata = pod["metadata"]
            wanted = (request["pod_namespace"], request["pod_name"])
            if (metadata["namespace"], metadata["name"]) == wanted and not is_finished(pod):
                return {"pod_resources": self._of_pod(pod)}
        error = RuntimeNotFound(
            f"pod {request['pod_name']} in namespace {request['pod_namespace']} not found"
        )
        error.code = "NOT_FOUND"
        raise error

    async def _allocatable(self, _: JsonObject) -> JsonObject:
        devices = [_device(name, one) for name, one in self._devices.devices()]
        cpus = [] if self._cpus is None else sorted(self._cpus.allocatable)
        return {"devices": devices, "cpu_ids": cpus}

    def _of_pod(self, pod: JsonObject) -> JsonObject:
        lasting = [*(one for one in init_containers(pod) if is_sidecar(one)), *containers(pod)]
        return {
            "name": pod["metadata"]["name"],
            "namespace": pod["metadata"]["namespace"],
            "containers": [self._of_container(pod, one) for one in lasting],
        }

    def _of_container(self, pod: JsonObject, container: JsonObject) -> JsonObject:
        claimed: dict[tuple[str, str], list[JsonObject]] = {}
        for claim, driver, device in self._claims.devices_of(pod, container):
            resource = {
                "cdi_devices": [{"name": one} for one in device.cdi],
                "driver_name": driver,
                "pool_name": device.pool,
                "device_name": device.device,
            }
            claimed.setdefault((claim.namespace, claim.name), []).append(resource)
        known = dict(self._devices.devices_by_id())
        devices = [
            _device(one.resource, known.get((one.resource, identity)) or {"ID": identity})
            for one in self._devices.of(pod["metadata"]["uid"], container["name"])
            for identity in sorted(one.devices)
        ]
        return {
            "name": container["name"],
            "devices": devices,
            "cpu_ids": []
            if self._cpus is None
            else sorted(self._cpus.exclusive(pod["metadata"]["uid"], container["name"])),
            "dynamic_resources": [
                {"claim_namespace": namespace, "claim_name": name, "claim_resources": found}
                for (namespace, name), found in claimed.items()
            ],
        }


def _device(resource: str, device: JsonObject) -> JsonObject:
    found: JsonObject = {"resource_name": resource, "device_ids": [device["ID"]]}
    if device.get("topology"):
        found["topology"] = device["topology"]
    return found

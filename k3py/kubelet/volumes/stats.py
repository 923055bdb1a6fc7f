"""How full the volumes of claims are: told by their CSI drivers, of folders by the file system.

Source: pkg/kubelet/server/stats/volume_stat_calculator.go v1.35.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from k3py.api.status import ApiError
from k3py.kubelet.status import timestamp
from k3py.runtime.errors import RuntimeFailure
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.node_context import NodeContext


async def volume_stats(node: NodeContext, pod: JsonObject) -> list[JsonObject]:
    """Return VolumeStats of a pod's claims; those that cannot be asked now are left out."""
    found = []
    for volume in pod["spec"].get("volumes") or ():
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if volume.get("ephemeral"):
            claim = f"{pod['metadata']['name']}-{volume['name']}"
        if not claim:
            continue
        try:
            numbers = await _numbers(node, pod, claim)
        except (ApiError, RuntimeFailure, OSError):
            numbers = None
        if numbers:
            reference = {"name": claim, "namespace": pod["metadata"]["namespace"]}
            found.append(
                {"time": timestamp(clock.wall_s()), **numbers, "name": volume["name"], "pvcRef": reference}
            )
    return found


async def all_volume_stats(node: NodeContext, pods: Sequence[JsonObject]) -> list[JsonObject]:
    """Return VolumeStats of several pods, one a claim."""
    found: dict[tuple[str, str], JsonObject] = {}
    for pod in pods:
        for one in await volume_stats(node, pod):
            found[one["pvcRef"]["namespace"], one["pvcRef"]["name"]] = one
    return list(found.values())


async def _numbers(node: NodeContext, pod: JsonObject, claim: str) -> JsonObject | None:
    bound = await node.objects.view(pod).bound_volume(claim)
    spec = {} if bound is None else bound[0]["spec"]
    if spec.get("csi") and node.csi is not None and bound is not None:
        usage = await node.csi.stats(pod["metadata"]["uid"], bound[0]["metadata"]["name"])
        if not usage or "BYTES" not in usage:
            return None
        one, inodes = usage["BYTES"], usage.get("INODES") or {}
        numbers = {
            "availableBytes": one["available"],
            "capacityBytes": one["total"],
            "usedBytes": one["used"],
        }
        if inodes:
            numbers |= {
                "inodesFree": inodes["available"],
                "inodes": inodes["total"],
                "inodesUsed": inodes["used"],
            }
        return numbers
    folder = (spec.get("local") or {}).get("path")
    return await asyncio.to_thread(_read, folder) if folder else None


def _read(folder: Path | str) -> JsonObject:
    disk = os.statvfs(folder)
    size, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
    return {
        "availableBytes": free,
        "capacityBytes": size,
        "usedBytes": (disk.f_blocks - disk.f_bfree) * disk.f_frsize,
        "inodesFree": disk.f_favail,
        "inodes": disk.f_files,
        "inodesUsed": disk.f_files - disk.f_ffree,
    }

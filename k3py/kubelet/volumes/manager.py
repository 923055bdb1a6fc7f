"""All volumes of one pod: set up side by side, kept up to date, taken down.

The pod worker calls it; a volume that fails is tried again by the worker with a growing delay.
"""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, Final

from k3py.errors import K3pyError
from k3py.kubelet.volumes.config_map import ConfigMapVolume
from k3py.kubelet.volumes.csi import CsiVolume
from k3py.kubelet.volumes.downward_api import DownwardApiVolume
from k3py.kubelet.volumes.empty_dir import EmptyDirVolume
from k3py.kubelet.volumes.host_path import HostPathVolume
from k3py.kubelet.volumes.interface import GrowthFailed, VolumeError
from k3py.kubelet.volumes.persistent_volume_claim import EphemeralVolume, PersistentVolumeClaimVolume
from k3py.kubelet.volumes.projected import ProjectedVolume
from k3py.kubelet.volumes.secret import SecretVolume

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.volumes.interface import Mounter, VolumeContext, VolumeKind

VOLUME_KINDS: Final[tuple[VolumeKind, ...]] = (
    ConfigMapVolume(),
    CsiVolume(),
    DownwardApiVolume(),
    EmptyDirVolume(),
    EphemeralVolume(),
    HostPathVolume(),
    PersistentVolumeClaimVolume(),
    ProjectedVolume(),
    SecretVolume(),
)

UPDATED: Final = (
    "configMap",
    "secret",
    "projected",
    "downwardAPI",
    "csi",
    "ephemeral",
    "persistentVolumeClaim",
)


def is_updated(volume: JsonObject) -> bool:
    """Say whether a volume follows objects that change: its content, or its size."""
    return any(source in volume for source in UPDATED)


def kind_of(volume: JsonObject) -> VolumeKind:
    """Return the kind of a volume. Raises VolumeError for one that is not supported."""
    for kind in VOLUME_KINDS:
        if kind.source in volume:
            return kind
    sources = ", ".join(sorted(volume.keys() - {"name"}))
    raise VolumeError(f"volume {volume['name']}: {sources or 'no source'} is not supported")


async def set_up_volumes(context: VolumeContext, *, only_updated: bool = False) -> dict[str, Path]:
    """Set up a pod's volumes side by side and return their host paths by name.

    Args:
        context: the pod.
        only_updated: only those whose content follows objects.

    Raises:
        VolumeError: of the first volume that failed.
    """
    wanted = [one for one in context.pod["spec"].get("volumes") or () if not only_updated or is_updated(one)]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {one["name"]: group.create_task(_set_up(one, context)) for one in wanted}
    except BaseExceptionGroup as failures:
        first = failures.exceptions[0]
        if isinstance(first, VolumeError):
            raise first from None
        raise
    return {name: task.result() for name, task in tasks.items()}


async def _set_up(volume: JsonObject, context: VolumeContext) -> Path:
    try:
        return await kind_of(volume).set_up(volume, context)
    except GrowthFailed:
        raise
    except (K3pyError, OSError) as error:
        raise VolumeError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from error


def remove_pod_dir(pod_dir: Path, mounter: Mounter) -> None:
    """Unmount everything below a pod's folder and delete it. Blocking.

    Raises:
        OSError: something is still mounted; nothing below a mount is ever deleted.
    """
    if not pod_dir.exists():
        return
    for point in mounter.mounts_below(pod_dir):
        mounter.unmount(point)
    if mounter.mounts_below(pod_dir):
        raise OSError(f"{pod_dir} still holds mounts")
    shutil.rmtree(pod_dir)

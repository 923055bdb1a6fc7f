"""The seam of volume kinds: what `volumes.manager` calls, and what a kind may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.csi.source import CsiSource


class VolumeError(K3pyError):
    """A volume cannot be set up now; told as an Event and tried again.

    reason: of the Event.
    """

    reason = "FailedMount"


class GrowthFailed(VolumeError):
    """A volume that is there cannot be made larger now."""

    reason = "VolumeResizeFailed"


class Mounter(Protocol):
    """The mounts that volumes need; blocking."""

    def mount_tmpfs(self, path: Path, *, size_bytes: int = 0) -> None:
        """Mount a tmpfs at an existing folder unless one is there; 0 = no limit of its own."""

    def bind(self, source_fd: int, target: Path) -> None:
        """Bind an opened file or folder (O_PATH descriptor) to an existing target of the same sort."""

    def unmount(self, path: Path) -> None:
        """Unmount whatever is mounted at `path`; nothing mounted is fine."""

    def mounts_below(self, path: Path) -> list[Path]:
        """Return mount points at or below `path`, deepest first."""


class PodObjects(Protocol):
    """Objects that the volumes of one pod refer to."""

    async def config_map(self, name: str) -> JsonObject | None:
        """Return a ConfigMap of the pod's namespace."""

    async def secret(self, name: str) -> JsonObject | None:
        """Return a Secret of the pod's namespace."""

    async def bound_volume(self, claim: str) -> tuple[JsonObject, JsonObject] | None:
        """Return the PersistentVolume that a claim of the pod's namespace is bound to, and the claim; None = not bound."""

    async def csi_driver(self, name: str) -> JsonObject | None:
        """Return the CSIDriver object of a driver."""

    async def token(self, *, audience: str, expiration_s: int, path_key: str) -> str:
        """Return a service account token bound to the pod that has enough of its life before it."""

    async def csi_token(self, *, audience: str, expiration_s: int) -> tuple[str, str]:
        """Return such a token for a CSI driver, and when it ends (RFC 3339)."""


class DriverVolumes(Protocol):
    """Volumes of CSI drivers."""

    async def set_up(self, source: CsiSource, context: VolumeContext) -> Path:
        """Bring a volume to the pod and return its folder or device. Raises VolumeError."""


@dataclass(slots=True, kw_only=True)
class VolumeContext:
    """One pod's volumes: where they lie and what they are made of.

    csi: brings volumes of CSI drivers, None = there are none here.
    """

    pod: JsonObject
    pod_dir: Path
    mounter: Mounter
    objects: PodObjects
    allocatable: Mapping[str, str]
    host_ips: Sequence[str] = ()
    csi: DriverVolumes | None = None

    @property
    def fs_group(self) -> int | None:
        """Return the pod's fsGroup."""
        found = (self.pod["spec"].get("securityContext") or {}).get("fsGroup")
        return None if found is None else int(found)

    def path_of(self, plugin: str, name: str) -> Path:
        """Return the folder of a volume."""
        return self.pod_dir / "volumes" / f"kubernetes.io~{plugin}" / name


class VolumeKind(Protocol):
    """One kind of volume.

    source: the key in spec.volumes[] ("configMap", …).
    """

    source: str

    async def set_up(self, volume: JsonObject, context: VolumeContext) -> Path:
        """Make the volume usable and return the host's path of it; again = bring its content up to date.

        Raises:
            VolumeError: it cannot be made now.
            OSError: the file system refused.
        """

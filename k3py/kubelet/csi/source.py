"""What a volume of a CSI driver is, whichever way a pod names it, and where it lies on the node. Pure.

    persistent   <root>/plugins/kubernetes.io/csi/<driver>/<sha256 of the handle>/globalmount    staged once a node
                 <root>/pods/<uid>/volumes/kubernetes.io~csi/<volume>/mount                      published for a pod
    block        <root>/plugins/kubernetes.io/csi/volumeDevices/{staging,publish}/<volume>/…
    inline       published only

Beside each lies a vol_data.json that says how to take it down, so that a kubelet that begins again can.

Source: pkg/volume/csi/{csi_plugin,csi_attacher,csi_block,csi_util}.go v1.35.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.csi import unique_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from k3py.jsontypes import JsonObject

DATA_FILE: Final = "vol_data.json"
EPHEMERAL: Final = "Ephemeral"
PERSISTENT: Final = "Persistent"


@dataclass(frozen=True, slots=True, kw_only=True)
class CsiSource:
    """A volume as its driver is told of it.

    spec_name: PersistentVolume's name, of an inline volume the pod's name of it.
    handle: the driver's name of the volume.
    volume: the PersistentVolume, None = inline.
    claim: its claim.
    csi: the part of the volume or of the pod that is about CSI.
    """

    driver: str
    handle: str
    spec_name: str
    csi: JsonObject
    volume: JsonObject | None = None
    claim: JsonObject | None = None
    read_only: bool = False

    @property
    def is_inline(self) -> bool:
        """Say whether the volume lives and dies with its pod."""
        return self.volume is None

    @property
    def is_block(self) -> bool:
        """Say whether the pod gets a device."""
        return self.volume is not None and self.volume["spec"].get("volumeMode") == "Block"

    @property
    def access_modes(self) -> Sequence[str]:
        """Return the volume's access modes."""
        return () if self.volume is None else self.volume["spec"].get("accessModes") or ()

    @property
    def unique_name(self) -> str:
        """Return what the Node's status calls the volume."""
        return unique_name(self.driver, self.handle)


def persistent_source(volume: JsonObject, claim: JsonObject | None, *, read_only: bool) -> CsiSource:
    """Return the source of a PersistentVolume of a driver."""
    csi = volume["spec"]["csi"]
    return CsiSource(
        driver=csi["driver"],
        handle=csi["volumeHandle"],
        spec_name=volume["metadata"]["name"],
        csi=csi,
        volume=volume,
        claim=claim,
        read_only=read_only or bool(csi.get("readOnly")),
    )


def inline_source(pod_uid: str, volume: JsonObject) -> CsiSource:
    """Return the source of a volume that is written in the pod."""
    csi, name = volume["csi"], volume["name"]
    digest = hashlib.sha256(f"{pod_uid}{name}".encode()).hexdigest()
    return CsiSource(
        driver=csi["driver"],
        handle=f"csi-{digest}",
        spec_name=name,
        csi=csi,
        read_only=bool(csi.get("readOnly")),
    )


@dataclass(frozen=True, slots=True)
class CsiPaths:
    """Places below the kubelet's folder."""

    root: Path

    @property
    def plugin(self) -> Path:
        """Return where staged volumes of all drivers lie."""
        return self.root / "plugins" / "kubernetes.io" / "csi"

    def staging(self, source: CsiSource) -> Path:
        """Return where a volume is staged."""
        if source.is_block:
            return self.plugin / "volumeDevices" / "staging" / source.spec_name
        digest = hashlib.sha256(source.handle.encode()).hexdigest()
        return self.plugin / source.driver / digest / "globalmount"

    def staging_data(self, source: CsiSource) -> Path:
        """Return the file about a staged volume."""
        if source.is_block:
            return self.plugin / "volumeDevices" / source.spec_name / "data" / DATA_FILE
        return self.staging(source).parent / DATA_FILE

    def pod_volumes(self, uid: str) -> Path:
        """Return where a pod's mounted volumes lie."""
        return self.root / "pods" / uid / "volumes" / "kubernetes.io~csi"

    def pod_devices(self, uid: str) -> Path:
        """Return where links to a pod's devices lie."""
        return self.root / "pods" / uid / "volumeDevices" / "kubernetes.io~csi"

    def target(self, uid: str, source: CsiSource) -> Path:
        """Return where a volume is published for a pod."""
        if source.is_block:
            return self.plugin / "volumeDevices" / "publish" / source.spec_name / uid
        return self.pod_volumes(uid) / source.spec_name / "mount"

    def target_data(self, uid: str, spec_name: str) -> Path:
        """Return the file about a volume that is mounted for a pod; of a device the pod has a link only."""
        return self.pod_volumes(uid) / spec_name / DATA_FILE

    def device_link(self, uid: str, spec_name: str) -> Path:
        """Return the link to a pod's device."""
        return self.pod_devices(uid) / spec_name

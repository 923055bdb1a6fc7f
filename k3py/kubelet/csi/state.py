"""What of CSI volumes lies on the node's disk: read when the kubelet begins, so that it goes on where the last one ended. Blocking.

The files and places are upstream's: a node's kubelet can be replaced by k3py and back while pods run.

Source: pkg/volume/csi/csi_util.go saveVolumeData, pkg/kubelet/volumemanager/reconciler/reconstruct.go v1.35.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from k3py.api.csi import attachment_name
from k3py.kubelet.csi.source import DATA_FILE, EPHEMERAL, PERSISTENT, CsiPaths
from k3py.util.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.csi.source import CsiSource

log = logging.getLogger(__name__)

VolumeKey = tuple[str, str]
"""Driver and handle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A volume that was, or was about to be, published for a pod.

    target: where; link: of a device, the pod's link to it.
    """

    uid: str
    spec_name: str
    driver: str
    handle: str
    target: Path
    is_inline: bool = False
    link: Path | None = None

    @property
    def key(self) -> VolumeKey:
        """Return driver and handle."""
        return self.driver, self.handle


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A volume that was, or was about to be, staged on the node."""

    driver: str
    handle: str
    path: Path
    data: Path

    @property
    def key(self) -> VolumeKey:
        """Return driver and handle."""
        return self.driver, self.handle


class CsiState:
    """The files.

    Args:
        root: the kubelet's folder.
        node_name: of the node.
    """

    def __init__(self, root: Path, node_name: str) -> None:
        self.paths = CsiPaths(root)
        self._root = root
        self._node_name = node_name

    def note_staged(self, source: CsiSource) -> Staged:
        """Write down that a volume is about to be staged."""
        staged = self.staged(source)
        staged.path.mkdir(mode=0o750, parents=True, exist_ok=True)
        if source.is_block:
            _write(staged.data, self._data(source))
        else:
            _write(staged.data, {"driverName": source.driver, "volumeHandle": source.handle})
        return staged

    def staged(self, source: CsiSource) -> Staged:
        """Return where a volume is staged."""
        return Staged(
            driver=source.driver,
            handle=source.handle,
            path=self.paths.staging(source),
            data=self.paths.staging_data(source),
        )

    def note_published(self, uid: str, source: CsiSource) -> Published:
        """Write down that a volume is about to be published for a pod."""
        paths, target = self.paths, self.paths.target(uid, source)
        target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        link = None
        if source.is_block:
            link = paths.device_link(uid, source.spec_name)
            link.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            _write(paths.staging_data(source), self._data(source))
            if not link.is_symlink():
                link.symlink_to(target)
        else:
            _write(paths.target_data(uid, source.spec_name), self._data(source))
        return Published(
            uid=uid,
            spec_name=source.spec_name,
            driver=source.driver,
            handle=source.handle,
            target=target,
            is_inline=source.is_inline,
            link=link,
        )

    def forget_published(self, published: Published) -> None:
        """Remove what says that a volume is published; the driver has removed the target, or it is an empty folder.

        Raises:
            OSError: something is left at the target.
        """
        target = published.target
        if target.is_dir():
            target.rmdir()
        else:
            target.unlink(missing_ok=True)
        if published.link is not None:
            published.link.unlink(missing_ok=True)
            _remove_empty(target.parent)
            return
        (target.parent / DATA_FILE).unlink(missing_ok=True)
        _remove_empty(target.parent)

    def forget_staged(self, staged: Staged) -> None:
        """Remove what says that a volume is staged. Raises OSError: something is left there."""
        if staged.path.is_dir():
            staged.path.rmdir()
        staged.data.unlink(missing_ok=True)
        _remove_empty(staged.data.parent)
        if staged.data.parent.name == "data":
            _remove_empty(staged.data.parent.parent)

    def load(self) -> tuple[list[Published], list[Staged]]:
        """Return what is there."""
        blocks = dict(self._load_blocks())
        published = [*self._load_mounts(), *self._load_devices(blocks)]
        staged = list(self._load_staged())
        for spec_name, data in blocks.items():
            path = self.paths.plugin / "volumeDevices" / "staging" / spec_name
            staged.append(
                Staged(
                    driver=data["driverName"],
                    handle=data["volumeHandle"],
                    path=path,
                    data=self.paths.plugin / "volumeDevices" / spec_name / "data" / DATA_FILE,
                )
            )
        return published, staged

    def _data(self, source: CsiSource) -> JsonObject:
        attachment = (
            "" if source.is_inline else attachment_name(source.driver, source.handle, self._node_name)
        )
        return {
            "attachmentID": attachment,
            "driverName": source.driver,
            "nodeName": self._node_name,
            "specVolID": source.spec_name,
            "volumeHandle": source.handle,
            "volumeLifecycleMode": EPHEMERAL if source.is_inline else PERSISTENT,
        }

    def _load_mounts(self) -> Iterator[Published]:
        for file in self._root.glob(f"pods/*/volumes/kubernetes.io~csi/*/{DATA_FILE}"):
            data = _read(file)
            if data is not None:
                yield Published(
                    uid=file.parents[3].name,
                    spec_name=file.parent.name,
                    driver=data["driverName"],
                    handle=data["volumeHandle"],
                    target=file.parent / "mount",
                    is_inline=data.get("volumeLifecycleMode") == EPHEMERAL,
                )

    def _load_devices(self, blocks: dict[str, JsonObject]) -> Iterator[Published]:
        for link in self._root.glob("pods/*/volumeDevices/kubernetes.io~csi/*"):
            data = blocks.get(link.name)
            uid = link.parents[2].name
            if data is not None:
                yield Published(
                    uid=uid,
                    spec_name=link.name,
                    driver=data["driverName"],
                    handle=data["volumeHandle"],
                    target=self.paths.plugin / "volumeDevices" / "publish" / link.name / uid,
                    link=link,
                )

    def _load_blocks(self) -> Iterator[tuple[str, JsonObject]]:
        for file in (self.paths.plugin / "volumeDevices").glob(f"*/data/{DATA_FILE}"):
            if (data := _read(file)) is not None:
                yield file.parents[1].name, data

    def _load_staged(self) -> Iterator[Staged]:
        for file in self.paths.plugin.glob(f"*/*/{DATA_FILE}"):
            if (data := _read(file)) is not None:
                yield Staged(
                    driver=data["driverName"],
                    handle=data["volumeHandle"],
                    path=file.parent / "globalmount",
                    data=file,
                )


def _write(path: Path, data: JsonObject) -> None:
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    text = orjson.dumps(data)
    if not path.exists() or path.read_bytes() != text:
        write_atomically(path, text, mode=0o644)


def _read(path: Path) -> JsonObject | None:
    try:
        data: JsonObject = orjson.loads(path.read_bytes())
        return data if data["driverName"] and data["volumeHandle"] else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        # Written before anything was mounted: a torn one means that nothing was.
        log.warning("CSI volume is not known any more", extra={"file": str(path), "error": str(error)})
        return None


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        log.debug("folder stays", extra={"folder": str(folder)})

"""subPath of volume mounts: a folder or file below a volume, opened so that no link leads out of it.

The path is resolved, checked to lie in the volume, opened part by part without following links, and the opened object is bound to a
path of the kubelet's own, which the runtime mounts: swapping a part for a link in between changes nothing. Blocking.

Source: pkg/volume/util/subpath/subpath_linux.go v1.35.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from k3py.kubelet.volumes.interface import VolumeError

if TYPE_CHECKING:
    from k3py.kubelet.volumes.interface import Mounter


def bind_subpath(mounter: Mounter, volume: Path, sub_path: str, target: Path, *, read_only: bool) -> Path:
    """Bind `volume`/`sub_path` to `target` and return `target`; a missing folder is made unless `read_only`.

    Raises:
        VolumeError: the path leads out of the volume or does not exist.
    """
    if Path(sub_path).is_absolute() or ".." in Path(sub_path).parts:
        raise VolumeError(f"subPath {sub_path!r} must be relative and without '..'")
    root = volume.resolve()
    resolved = (root / sub_path).resolve()
    if resolved != root and root not in resolved.parents:
        raise VolumeError(f"subPath {sub_path!r} leads out of its volume")
    descriptor = _open_beneath(root, resolved.relative_to(root).parts, create=not read_only)
    try:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        mounter.unmount(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if is_folder:
            target.mkdir(exist_ok=True)
        else:
            target.touch(exist_ok=True)
        mounter.bind(descriptor, target)
    finally:
        os.close(descriptor)
    return target


def _open_beneath(root: Path, parts: tuple[str, ...], *, create: bool) -> int:
    descriptor = os.open(root, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    for part in parts:
        try:
            following = _open_part(descriptor, part, create=create)
        except OSError as error:
            raise VolumeError(f"cannot open subPath part {part!r}: {error.strerror}") from error
        finally:
            os.close(descriptor)
        descriptor = following
        if stat.S_ISLNK(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise VolumeError(f"subPath part {part!r} became a link")
    return descriptor


def _open_part(parent: int, part: str, *, create: bool) -> int:
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(part, flags, dir_fd=parent)
    except FileNotFoundError:
        if not create:
            raise
    os.mkdir(part, mode=0o750, dir_fd=parent)
    made = os.open(part, flags, dir_fd=parent)
    Path(f"/proc/self/fd/{made}").chmod(0o750 | (os.fstat(parent).st_mode & 0o2777))
    return made

"""Writes the files of a volume so that a reader sees all of the old or all of the new.

    key        -> ..data/key
    ..data     -> ..2025_11_25_13_00_00.123456789
    ..2025_…/key

An update writes a new folder and turns `..data` by rename. Blocking. Source: pkg/volume/util/atomic_writer.go v1.35.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA: Final = "..data"
_NEXT: Final = "..data_tmp"


@dataclass(frozen=True, slots=True)
class FilePayload:
    """Content and mode of a file; `uid` None = the kubelet's user."""

    data: bytes
    mode: int
    uid: int | None = None


def write_payload(target: Path, payload: Mapping[str, FilePayload], *, gid: int | None = None) -> bool:
    """Make the user-visible files below `target` equal to `payload`; return whether anything changed.

    Args:
        target: the volume's folder, which exists.
        payload: relative paths without "..".
        gid: group of all files (fsGroup); group reading is then allowed.
    """
    old = target / DATA
    if old.exists() and _is_current(old, payload, gid):
        return False
    stamp = clock.now().strftime("..%Y_%m_%d_%H_%M_%S.") + str(clock.monotonic_s()).replace(".", "")[-9:]
    folder = target / stamp
    folder.mkdir(mode=0o755)
    _own(folder, 0o755, None, gid, is_folder=True)
    for name, file in payload.items():
        path = folder / name
        for parent in reversed(path.relative_to(folder).parents[:-1]):
            (folder / parent).mkdir(exist_ok=True)
            _own(folder / parent, 0o755, None, gid, is_folder=True)
        path.write_bytes(file.data)
        _own(path, file.mode, file.uid, gid, is_folder=False)
    previous = old.readlink() if old.is_symlink() else None
    following = target / _NEXT
    following.unlink(missing_ok=True)
    following.symlink_to(stamp)
    following.rename(old)
    tops = {PurePosixPath(name).parts[0] for name in payload}
    for top in tops:
        link = target / top
        if not link.is_symlink():
            link.symlink_to(f"{DATA}/{top}")
    for entry in target.iterdir():
        if not entry.name.startswith("..") and entry.is_symlink() and entry.name not in tops:
            entry.unlink()
    if previous is not None:
        shutil.rmtree(target / previous, ignore_errors=True)
    return True


def _own(path: Path, mode: int, uid: int | None, gid: int | None, *, is_folder: bool) -> None:
    if gid is not None:
        mode |= 0o2050 if is_folder else 0o040
    if uid is not None or gid is not None:
        os.chown(path, -1 if uid is None else uid, -1 if gid is None else gid)
    path.chmod(mode)


def _is_current(folder: Path, payload: Mapping[str, FilePayload], gid: int | None) -> bool:
    existing = {
        str(path.relative_to(folder.resolve())): path
        for path in folder.resolve().rglob("*")
        if path.is_file()
    }
    if existing.keys() != set(payload):
        return False
    for name, file in payload.items():
        mode = file.mode | (0o040 if gid is not None else 0)
        if existing[name].read_bytes() != file.data or existing[name].stat().st_mode & 0o7777 != mode:
            return False
    return True

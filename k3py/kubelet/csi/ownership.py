"""fsGroup: a volume's files become readable and writable for a pod's group. Blocking.

Source: pkg/volume/volume_linux.go v1.35.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.csi.source import CsiSource

_READ_WRITE: Final = 0o660
_EXECUTE: Final = 0o110


def is_owned_by_group(source: CsiSource, driver: JsonObject | None) -> bool:
    """Say whether the kubelet gives a volume's files to the pod's group, by the driver's fsGroupPolicy."""
    policy = ((driver or {}).get("spec") or {}).get("fsGroupPolicy") or "ReadWriteOnceWithFSType"
    if policy == "None" or source.read_only:
        return False
    if policy == "File":
        return True
    # An inline volume belongs to its pod alone.
    alone = source.is_inline or "ReadWriteOnce" in source.access_modes
    return bool(source.csi.get("fsType")) and alone


def give_to_group(path: Path, group: int, *, unless_root_matches: bool) -> None:
    """Give everything below `path` to a group.

    Args:
        path: the volume.
        group: its id.
        unless_root_matches: nothing is done where the top folder is right already.
    """
    if unless_root_matches and _is_right(path, group):
        return
    # The top folder last: it says that all below is done.
    for one in _below(path):
        _give(one, group)
    _give(path, group)


def _below(path: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(path):
        for name in (*folders, *names):
            yield Path(place, name)


def _wanted(mode: int) -> int:
    wanted = _READ_WRITE
    if stat.S_ISDIR(mode):
        wanted |= stat.S_ISGID | _EXECUTE
    return wanted


def _is_right(path: Path, group: int) -> bool:
    state = path.lstat()
    wanted = _wanted(state.st_mode)
    return state.st_gid == group and state.st_mode & wanted == wanted


def _give(path: Path, group: int) -> None:
    try:
        state = path.lstat()
        os.lchown(path, -1, group)
        if not stat.S_ISLNK(state.st_mode):
            path.chmod(stat.S_IMODE(state.st_mode) | _wanted(state.st_mode))
    except FileNotFoundError:
        return  # whoever else uses the volume has removed it meanwhile

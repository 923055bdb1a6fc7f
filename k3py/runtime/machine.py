"""What this machine can do, as far as containers are concerned: read from /proc and /sys."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_CAP_SYS_RESOURCE: Final = 24


def has_sys_resource(status: Path = Path("/proc/self/status")) -> bool:
    """Whether CAP_SYS_RESOURCE is in the bounding set: without it no process can lower its oom_score_adj."""
    for line in status.read_text().splitlines():
        if line.startswith("CapBnd:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
    return False


def choose_snapshotter(
    root: Path,
    *,
    filesystems: Path = Path("/proc/filesystems"),
    mounts: Path = Path("/proc/self/mountinfo"),
) -> str:
    """Return "overlayfs" where the kernel has it and `root` can carry its upper layers, else "native"."""
    names = {line.split()[-1] for line in filesystems.read_text().splitlines() if line.strip()}
    if "overlay" not in names:
        return "native"
    return "native" if filesystem_type(root, mounts=mounts) == "overlay" else "overlayfs"


def filesystem_type(path: Path, *, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Return the type of the filesystem that holds `path` (which need not exist yet)."""
    best, kind = -1, ""
    for line in mounts.read_text().splitlines():
        left, _, right = line.partition(" - ")
        point = left.split()[4].replace("\\040", " ")
        if len(point) >= best and (path == Path(point) or path.is_relative_to(point)):
            best, kind = len(point), right.split()[0]
    return kind

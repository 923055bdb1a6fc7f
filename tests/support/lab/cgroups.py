"""Control groups of lab nodes, in v1 hierarchies or in v2."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def hierarchies() -> list[Path]:
    """Return the mount points of all hierarchies; one for v2."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    return sorted(path for path in ROOT.iterdir() if path.is_dir() and not path.is_symlink())


def make_group(name: str) -> list[Path]:
    """Make a group (a path below the root) in each hierarchy and return their folders."""
    made = []
    for root in hierarchies():
        group = root
        for part in name.split("/"):
            parent, group = group, group / part
            group.mkdir(exist_ok=True)
            for setting in ("cpuset.cpus", "cpuset.mems"):  # v1: empty at first, nobody can enter
                file = group / setting
                if file.exists() and root.name == "cpuset" and not file.read_text().strip():
                    file.write_text((parent / setting).read_text())
            if (parent / "cgroup.subtree_control").exists() and root == ROOT:
                with contextlib.suppress(OSError):
                    controllers = (parent / "cgroup.controllers").read_text().split()
                    (parent / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))
        made.append(group)
    return made


def remove_group(name: str, *, limit_s: float = 5.0) -> None:
    """Remove a group with all below it, leaves first; waits for processes that are dying.

    Raises:
        OSError: something still lives in it after `limit_s`.
    """
    deadline = time.monotonic() + limit_s
    for root in hierarchies():
        top = root / name
        if not top.exists():
            continue
        for folder in [*sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True), top]:
            while True:
                try:
                    folder.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)

"""Mounts by system call: no `mount` program is started.

Blocking, microseconds each. Source: mount(2), umount2(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path
from typing import Final

MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_BIND: Final = 4096
MNT_DETACH: Final = 2


class SystemMounter:
    """Mounts of this process' mount namespace, which has to be the runtime's too."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def mount_tmpfs(self, path: Path, *, size_bytes: int = 0) -> None:
        """Mount a tmpfs at an existing folder unless one is there."""
        if os.path.ismount(path):
            return
        options = f"mode=0777,size={size_bytes}" if size_bytes else "mode=0777"
        self._mount("tmpfs", path, "tmpfs", 0, options)

    def bind(self, source_fd: int, target: Path) -> None:
        """Bind an opened file or folder to `target`."""
        self._mount(f"/proc/self/fd/{source_fd}", target, "", MS_BIND, "")

    def unmount(self, path: Path) -> None:
        """Unmount `path`, lazily when it is in use."""
        if self._libc.umount2(os.fsencode(path), MNT_DETACH) != 0:
            code = ctypes.get_errno()
            if code not in (errno.EINVAL, errno.ENOENT):
                raise OSError(code, os.strerror(code), str(path))

    def mounts_below(self, path: Path) -> list[Path]:
        """Return mount points at or below `path`, deepest (last mounted) first."""
        prefix = os.fsencode(path)
        found = []
        for line in Path("/proc/self/mounts").read_bytes().splitlines():
            point = line.split(b" ", 2)[1].decode("unicode_escape").encode("latin-1")
            if point == prefix or point.startswith(prefix + b"/"):
                found.append(Path(os.fsdecode(point)))
        return found[::-1]

    def _mount(self, source: str, target: Path, kind: str, flags: int, options: str) -> None:
        done = self._libc.mount(
            os.fsencode(source), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), options.encode()
        )
        if done != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(target))

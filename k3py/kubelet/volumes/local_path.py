"""Folders of volumes that the local-path provisioner hands out: made and removed when the API server asks this node. Blocking.

Only folders that are named as the provisioner names them are touched: pvc-<uid>_<namespace>_<claim>.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Final

from k3py.errors import K3pyError

_NAME: Final = re.compile(
    r"pvc-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}_[a-z0-9-]{1,63}_[a-z0-9.-]{1,253}"
)


class LocalPathError(K3pyError):
    """A folder cannot be made or removed; says why."""


def make_folder(path: str) -> None:
    """Make a volume's folder, open to every user of a pod, in a folder that is root's alone. Raises LocalPathError."""
    folder = _check(path)
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            folder.mkdir()
        except FileExistsError:
            if folder.is_symlink() or not folder.is_dir():
                raise
        folder.chmod(0o777)
    except OSError as error:
        raise LocalPathError(f"{path}: cannot be made: {error.strerror}") from error


def remove_folder(path: str) -> None:
    """Remove a volume's folder with all that is in it; links are removed, not followed. Raises LocalPathError."""
    folder = _check(path)
    try:
        if folder.is_symlink():
            raise LocalPathError(f"{path}: is a link")
        if not folder.exists():
            return
        if os.path.ismount(folder):
            raise LocalPathError(f"{path}: something is mounted there")
        shutil.rmtree(folder)
    except OSError as error:
        raise LocalPathError(f"{path}: cannot be removed: {error.strerror}") from error


def _check(path: str) -> Path:
    folder = Path(path)
    if not folder.is_absolute() or os.path.normpath(path) != path or "\0" in path:
        raise LocalPathError(f"{path!r}: must be an absolute path without . and ..")
    if not _NAME.fullmatch(folder.name) or len(folder.parts) < 3:
        raise LocalPathError(f"{path!r}: is not named as a volume's folder: pvc-<uid>_<namespace>_<claim>")
    return folder

"""Takes possession of the data dir: writable, ours, and nobody else's at this moment."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from k3py.errors import ConfigError, K3pyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OURS: Final = frozenset(("server", "agent", "data", "storage", "bin", "k3py.lock", "kubelet", "lost+found"))


@contextmanager
def hold_data_dir(path: Path) -> Iterator[None]:
    """Create `path` (0755, its secrets lie in 0700 folders) and hold it for this process while the context lasts.

    Raises:
        ConfigError: it cannot be written, or holds what k3py did not put there.
        K3pyError: another k3py uses it; the message names its process id.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        found = sorted(entry.name for entry in path.iterdir())
    except OSError as error:
        raise ConfigError(
            f"--data-dir: '{path}': must be a folder that can be written: {error.strerror}"
        ) from error
    if foreign := [name for name in found if name not in _OURS]:
        raise ConfigError(
            f"--data-dir: '{path}': must be empty or k3py's own, but holds {', '.join(foreign[:3])}"
        )
    try:
        descriptor = os.open(path / "k3py.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(
            f"--data-dir: '{path}': must be a folder that can be written: {error.strerror}"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise K3pyError(
                f"--data-dir: '{path}': is in use by another k3py (process {owner}); stop that one, or "
                "choose another folder"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)

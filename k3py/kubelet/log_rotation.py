"""Keeps container logs bounded: 10 MiB a file, five files. Blocking.

    0.log → 0.log.20251125-130000 → 0.log.20251125-125000.gz …

Source: pkg/kubelet/logs/container_log_manager.go v1.35 (compressed from the second rotated file on).
"""

from __future__ import annotations

import gzip
import shutil
from typing import TYPE_CHECKING, Final

from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MAX_SIZE_BYTES: Final = 10 << 20
MAX_FILES: Final = 5


def find_large(
    logs: Iterable[tuple[str, Path]], *, max_size_bytes: int = MAX_SIZE_BYTES
) -> list[tuple[str, Path]]:
    """Return those (container id, path) whose file is larger than allowed."""
    found = []
    for identity, path in logs:
        try:
            if path.stat().st_size > max_size_bytes:
                found.append((identity, path))
        except FileNotFoundError:
            continue
    return found


def move_away(path: Path, *, max_files: int = MAX_FILES) -> None:
    """Compress and remove older files, and move the current one away; the runtime then has to open a new one."""
    older = sorted(path.parent.glob(f"{path.name}.*"))
    for extra in older[: max(0, len(older) - max_files + 2)]:
        extra.unlink()
    for one in older[max(0, len(older) - max_files + 2) :]:
        if not one.name.endswith(".gz"):
            _compress(one)
    path.rename(path.with_name(f"{path.name}.{clock.now().strftime('%Y%m%d-%H%M%S')}"))


def _compress(path: Path) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    with path.open("rb") as source, gzip.open(temporary, "wb", compresslevel=6) as target:
        shutil.copyfileobj(source, target)
    temporary.rename(path.with_name(f"{path.name}.gz"))
    path.unlink()

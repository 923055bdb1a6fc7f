"""The single file's unpacked trees, <data-dir>/data/<hash>: those of earlier versions go when nothing runs from them any more.

A pod's shim, and runc and the libraries that it calls, run from the tree of the version that started the pod, so such a tree stays until
its last pod is gone. (The file unpacks itself anew where its own tree is missing: going back to an earlier file always works.)
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.util import clock
from k3py.util.step import Step

if TYPE_CHECKING:
    from k3py.util.supervise import Component

_log = logging.getLogger(__name__)

_YOUNG_S: Final = 3600.0
"""A tree that was unpacked just now may belong to an installation that is under way."""


def tree_cleaning(data_dir: Path) -> list[Component]:
    """Return the part that removes unused trees once while the process starts; none where the programs are the machine's own."""
    bundle = os.environ.get("K3PY_BUNDLE")
    if bundle is None:
        return []

    async def clean() -> None:
        removed = await asyncio.to_thread(remove_unused_trees, data_dir / "data", Path(bundle))
        if removed:
            _log.info(
                "removed programs of earlier versions", extra={"trees": [path.name for path in removed]}
            )

    return [Step("old-programs", clean)]


def remove_unused_trees(data: Path, own: Path, *, proc: Path = Path("/proc")) -> list[Path]:
    """Remove the trees below `data` from which no process runs, but for `own` and young ones; return them. Blocking.

    What cannot be removed is left, and logged: it is no reason not to start.
    """
    removed = []
    used = _used_trees(data, proc)
    for tree in sorted(data.glob("[0-9a-f]*")):
        try:
            if (
                tree.name in used
                or tree.resolve() == own.resolve()
                or clock.wall_s() - tree.stat().st_mtime < _YOUNG_S
            ):
                continue
            # First what says that it is whole: a tree that is half gone must not be started from.
            (tree / ".complete").unlink(missing_ok=True)
            shutil.rmtree(tree)
        except OSError as error:
            _log.warning("%s cannot be removed: %s", tree, error.strerror)
        else:
            removed.append(tree)
    return removed


def _used_trees(data: Path, proc: Path) -> set[str]:
    used = set()
    base = data.resolve()
    for folder in proc.glob("[0-9]*"):
        try:
            program = (folder / "exe").readlink()
        except OSError:  # of the kernel's own, or gone
            continue
        if program.is_relative_to(base):
            used.add(program.relative_to(base).parts[0])
    return used

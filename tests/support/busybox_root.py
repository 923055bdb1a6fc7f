"""A root folder with nothing but busybox: no Python, no C library, no package manager."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDERS = ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/lib", "etc", "proc", "sys", "dev", "tmp", "run", "var/tmp", "var/log", "root", "lib")


@contextmanager
def busybox_root() -> Iterator[Path]:
    """Yield such a folder, for `Lab.add_node(lower=…)`; removed at the end."""
    busybox = shutil.which("busybox")
    assert busybox is not None, "busybox-static is not installed"
    root = Path(tempfile.mkdtemp(prefix="k3py-busybox-", dir="/var/tmp"))
    root.chmod(0o755)
    try:
        for folder in _FOLDERS:
            (root / folder).mkdir(parents=True)
        (root / "var/run").symlink_to("../run")
        shutil.copy(busybox, root / "bin/busybox")
        for applet in subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split():
            if applet != "busybox":
                (root / "bin" / applet).symlink_to("busybox")
        (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (root / "etc/group").write_text("root:x:0:\n")
        yield root
    finally:
        shutil.rmtree(root)

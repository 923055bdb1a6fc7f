"""Termination messages of containers. Blocking.

Source: pkg/kubelet/kuberuntime/kuberuntime_container.go getTerminationMessage v1.35.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from k3py.kubelet.runtime_state import ContainerRecord

MAX_MESSAGE_BYTES: Final = 4096
MAX_LOG_BYTES: Final = 2048
MAX_LOG_LINES: Final = 80


def make_message_file(pod_dir: Path, container: str) -> Path:
    """Make the empty file that a container may write its last words to; anybody in the container may write it."""
    folder = pod_dir / "containers" / container
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / secrets.token_hex(4)
    path.touch()
    path.chmod(0o666)
    return path


def read_message(record: ContainerRecord) -> str:
    """Return the termination message of an ended container, "" when it left none."""
    text = ""
    if record.message_file:
        text = _tail(Path(record.message_file), MAX_MESSAGE_BYTES, head=True)
    if (
        not text
        and record.message_policy == "FallbackToLogsOnError"
        and record.exit_code != 0
        and record.log_path
    ):
        text = read_log_tail(Path(record.log_path))
    return text


def read_log_tail(path: Path) -> str:
    """Return the last lines of a CRI log without their stamps."""
    raw = _tail(path, 16 * MAX_LOG_BYTES, head=False)
    lines = []
    for line in raw.splitlines()[-MAX_LOG_LINES:]:
        parts = line.split(" ", 3)
        if len(parts) == 4:
            lines.append(parts[3] + ("\n" if parts[2].startswith("F") else ""))
    return "".join(lines)[-MAX_LOG_BYTES:]


def _tail(path: Path, limit_bytes: int, *, head: bool) -> str:
    try:
        with path.open("rb") as file:
            if not head:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - limit_bytes))
            return file.read(limit_bytes).decode("utf-8", "replace")
    except OSError:
        return ""

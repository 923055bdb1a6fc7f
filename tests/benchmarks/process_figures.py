"""What this process and all that it started cost the machine: memory, bytes to the disk, wake-ups. Linux' /proc."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def family(pid: int | None = None) -> list[int]:
    """Return the process (None: this one) and its living descendants."""
    found = [os.getpid() if pid is None else pid]
    for one in found:
        with suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def written_bytes() -> int:
    """Return what the family has sent to block devices so far, bytes."""
    return sum(_field(f"/proc/{pid}/io", "write_bytes") for pid in family())


def wake_ups() -> int:
    """Return how often threads of the family slept and woke so far."""
    total = 0
    for pid in family():
        with suppress(OSError):
            tasks = list(Path(f"/proc/{pid}/task").iterdir())
            total += sum(_field(str(task / "status"), "voluntary_ctxt_switches") for task in tasks)
    return total


def memory_mb(pids: list[int]) -> float:
    """Return the proportional set size of some processes, MB: pages that several share count once."""
    return sum(_field(f"/proc/{pid}/smaps_rollup", "Pss") for pid in pids) / 1e3


def _field(path: str, name: str) -> int:
    with suppress(OSError):
        for line in Path(path).read_text().splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return int(value.split()[0])
    return 0

"""What the kernel says about this process, for metrics."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROC: Final = Path("/proc/self")


class ProcessStats:
    """Reads cpu_s, resident_bytes, virtual_bytes, open_fds, max_fds, start_s and written_bytes; files in /proc do not block."""

    def __init__(self) -> None:
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._start_s = clock.wall_s() - self._age_s()

    def read(self) -> Mapping[str, float]:
        """Return the present values."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        virtual, resident = (_PROC / "statm").read_text().split()[:2]
        return {
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "resident_bytes": int(resident) * self._page_bytes,
            "virtual_bytes": int(virtual) * self._page_bytes,
            "open_fds": sum(1 for _ in (_PROC / "fd").iterdir()),
            "max_fds": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            "start_s": self._start_s,
            "written_bytes": _read_written(),
        }

    def _age_s(self) -> float:
        started_ticks = int((_PROC / "stat").read_text().rpartition(")")[2].split()[19])
        uptime_s = float(Path("/proc/uptime").read_text().split()[0])
        return uptime_s - started_ticks / os.sysconf("SC_CLK_TCK")


def _read_written() -> int:
    """Return how many bytes went to disks for this process and its ended children: what wears flash memory."""
    for line in (_PROC / "io").read_text().splitlines():
        name, _, value = line.partition(": ")
        if name == "write_bytes":
            return int(value)
    return 0

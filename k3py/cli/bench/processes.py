"""What a Kubernetes on this machine costs: its processes, found by name, and what Linux says about them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CLOCK_TICKS: Final = os.sysconf("SC_CLK_TCK")
_LOADER_WORDS: Final = 6
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_NAMES: Final = (
    "k3py", "k3s", "k3s-server", "k3s-agent", "k0s", "kubelet", "kube-apiserver", "kube-controller-manager", "kube-controller",
    "kube-scheduler", "kube-proxy", "etcd", "kine", "containerd", "kubelite", "k8s-dqlite",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """pid; name: as it is shown."""

    pid: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Sums over processes at a moment: memory as it is, the rest since they started."""

    rss_bytes: int
    pss_bytes: int
    cpu_s: float
    written_bytes: int
    wakeups: int


def find_processes(names: tuple[str, ...] = (), *, proc: Path = Path("/proc")) -> list[Process]:
    """Return the control plane's, the node's and containerd's processes, or those whose name or command line has one of `names`.

    Shims and pods are not among them: they are the same with everybody.
    """
    found = []
    for folder in proc.glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            comm = (folder / "comm").read_text().strip()
        except OSError:
            continue
        if not words[0] or folder.name == str(os.getpid()) or "bench" in words:
            continue
        line = " ".join(words)
        if names:
            if any(name == comm or name in line for name in names):
                found.append(Process(pid=int(folder.name), name=comm))
        elif comm in _NAMES or _is_k3py(words):
            found.append(Process(pid=int(folder.name), name="k3py" if _is_k3py(words) else comm))
    return sorted(found, key=lambda one: one.pid)


def _is_k3py(words: list[str]) -> bool:
    """Whether it is Python that runs k3py as a server or an agent; the single file starts Python by its own loader."""
    if not {"server", "agent"} & set(words) or not any("python" in one for one in words[:_LOADER_WORDS]):
        return False
    return any("k3py" in one for one in words)


def sample(processes: list[Process], *, proc: Path = Path("/proc")) -> Sample:
    """Read what they cost up to now; those that have ended count nothing."""
    rss = pss = written = wakeups = 0
    cpu_s = 0.0
    for one in processes:
        folder = proc / str(one.pid)
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            rss += int((folder / "statm").read_text().split()[1]) * _PAGE
            cpu_s += (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS
        except OSError:
            continue
        pss += _field(folder / "smaps_rollup", "Pss") * 1024
        written += _field(folder / "io", "write_bytes") - _field(folder / "io", "cancelled_write_bytes")
        tasks = folder / "task"
        wakeups += (
            sum(_field(task / "status", "voluntary_ctxt_switches") for task in tasks.iterdir())
            if tasks.is_dir()
            else 0
        )
    return Sample(rss_bytes=rss, pss_bytes=pss, cpu_s=cpu_s, written_bytes=written, wakeups=wakeups)


def _field(path: Path, name: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    for line in lines:
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0])
    return 0


def disk_written_bytes(disk: str, *, sys: Path = Path("/sys")) -> int:
    """Return what has been written to a disk since boot (field 7 of its statistics, sectors of 512 bytes)."""
    return int((sys / "class/block" / disk / "stat").read_text().split()[6]) * 512

"""Facts about the machine: processors, memory, kernel, system. Blocking reads of /proc, /sys and /etc.

Source: data/kubelet.tsv "node"; github.com/google/cadvisor/machine.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ARCHITECTURES: Final = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "ppc64le": "ppc64le",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What does not change while the machine is up."""

    cpus: int
    memory_kib: int
    swap_bytes: int
    machine_id: str
    system_uuid: str
    boot_id: str
    kernel: str
    os_image: str
    architecture: str
    huge_pages: dict[str, str]

    @property
    def memory_bytes(self) -> int:
        """Return the memory in bytes."""
        return self.memory_kib * 1024


def read_machine() -> Machine:
    """Read the facts."""
    memory = _meminfo()
    machine_id = _read("/etc/machine-id") or _read("/var/lib/dbus/machine-id")
    return Machine(
        cpus=len(os.sched_getaffinity(0)),
        memory_kib=memory.get("MemTotal", 0),
        swap_bytes=memory.get("SwapTotal", 0) * 1024,
        machine_id=machine_id,
        system_uuid=_read("/sys/class/dmi/id/product_uuid") or machine_id,
        boot_id=_read("/proc/sys/kernel/random/boot_id"),
        kernel=platform.release(),
        os_image=_os_image(),
        architecture=_ARCHITECTURES.get(platform.machine(), platform.machine()),
        huge_pages=_huge_pages(),
    )


@dataclass(frozen=True, slots=True)
class Pressure:
    """Free shares: memory in bytes, file system of the kubelet in bytes and share, inodes share, free process ids."""

    memory_available_bytes: int
    disk_available_bytes: int
    disk_available_share: float
    inodes_free_share: float
    disk_size_bytes: int


def read_pressure(root: Path) -> Pressure:
    """Read what may run out."""
    disk = os.statvfs(root)
    return Pressure(
        memory_available_bytes=_meminfo().get("MemAvailable", 0) * 1024,
        disk_available_bytes=disk.f_bavail * disk.f_frsize,
        disk_available_share=disk.f_bavail / max(disk.f_blocks, 1),
        inodes_free_share=disk.f_favail / disk.f_files if disk.f_files else 1.0,
        disk_size_bytes=disk.f_blocks * disk.f_frsize,
    )


def _meminfo() -> dict[str, int]:
    """Return /proc/meminfo in KiB."""
    result = {}
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        result[name] = int(rest.split()[0])
    return result


def _huge_pages() -> dict[str, str]:
    found = {}
    for folder in Path("/sys/kernel/mm/hugepages").glob("hugepages-*kB"):
        size_kib = int(folder.name.removeprefix("hugepages-").removesuffix("kB"))
        name = f"hugepages-{size_kib >> 20}Gi" if size_kib >= 1 << 20 else f"hugepages-{size_kib >> 10}Mi"
        total_kib = int(_read(str(folder / "nr_hugepages")) or 0) * size_kib
        found[name] = f"{total_kib}Ki" if total_kib else "0"
    return found


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _os_image() -> str:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        for line in _read(path).splitlines():
            if line.startswith("PRETTY_NAME="):
                return line.partition("=")[2].strip('"')
    return platform.system()

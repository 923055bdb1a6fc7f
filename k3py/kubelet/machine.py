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


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """What is free, and of how much: memory, the file systems of the kubelet and of images, process ids; 0 of 0 = not known."""

    memory_available_bytes: int
    memory_size_bytes: int
    disk_available_bytes: int
    disk_size_bytes: int
    inodes_free: int = 0
    inodes: int = 0
    image_disk_available_bytes: int = 0
    image_disk_size_bytes: int = 0
    image_inodes_free: int = 0
    image_inodes: int = 0
    pids_available: int = 0
    pids: int = 0


def read_pressure(root: Path, image_root: Path | None = None) -> Pressure:
    """Read what may run out."""
    memory = _meminfo()
    disk = os.statvfs(root)
    images = os.statvfs(image_root) if image_root is not None and image_root.exists() else disk
    most = int(_read("/proc/sys/kernel/pid_max") or 0)
    running = (_read("/proc/loadavg").split() or ["0/0"])[-2 if most else 0]
    used = int(running.partition("/")[2] or 0)
    return Pressure(
        memory_available_bytes=memory.get("MemAvailable", 0) * 1024,
        memory_size_bytes=memory.get("MemTotal", 0) * 1024,
        disk_available_bytes=disk.f_bavail * disk.f_frsize,
        disk_size_bytes=disk.f_blocks * disk.f_frsize,
        inodes_free=disk.f_favail,
        inodes=disk.f_files,
        image_disk_available_bytes=images.f_bavail * images.f_frsize,
        image_disk_size_bytes=images.f_blocks * images.f_frsize,
        image_inodes_free=images.f_favail,
        image_inodes=images.f_files,
        pids_available=max(0, most - used),
        pids=most,
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

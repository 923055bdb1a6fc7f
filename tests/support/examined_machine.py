"""A healthy machine as a folder, for checks that read files below a root; tests then break one thing of it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from k3py.cli.machine import Machine
from k3py.config.loader import load_values

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.config.option import Role

FILES = {
    "/proc/sys/kernel/osrelease": "6.1.0-arm64",
    "/boot/config-6.1.0-arm64": "".join(
        f"CONFIG_{one}=m\n" for one in ("OVERLAY_FS", "BRIDGE", "VETH", "NF_TABLES", "NF_NAT", "NF_CONNTRACK", "VXLAN")
    ),
    "/proc/filesystems": "nodev\toverlay\n\text4\n",
    "/proc/self/mounts": "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n",
    "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids",
    "/proc/sys/net/ipv4/ip_forward": "1",
    "/proc/sys/fs/inotify/max_user_instances": "8192",
    "/proc/sys/fs/inotify/max_user_watches": "65536",
    "/proc/sys/fs/file-max": "1000000",
    "/proc/meminfo": "MemTotal: 2048000 kB\nMemAvailable: 1500000 kB\nSwapTotal: 0 kB\n",
    "/proc/self/mountinfo": "1 0 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw\n",
    "/sys/dev/block/179:2/uevent": "MAJOR=179\nDEVNAME=mmcblk0p2\n",
    "/sys/class/block/mmcblk0p2/partition": "2",
    "/sys/class/block/mmcblk0/stat": "1 2 3 4 5 6 2048 8",
    "/sys/class/block/mmcblk0/device/life_time": "0x02 0x01",
    "/sys/class/block/mmcblk0/device/pre_eol_info": "0x01",
    "/proc/net/tcp": "  sl  local_address rem_address   st\n",
    "/etc/hosts": "127.0.0.1 localhost\n",
    "/etc/resolv.conf": "nameserver 192.0.2.53\n",
    "/proc/sys/kernel/hostname": "roof",
}


def make_machine(root: Path, role: Role = "server", *flags: str, pid: int = 0) -> Machine:
    """Write the files and return the machine with the settings that `flags` give."""
    for name, text in FILES.items():
        write(root, name, text)
    (root / "var/lib/k3py").mkdir(parents=True, exist_ok=True)
    write(root, "/etc/k3py/none.yaml", "")
    values = load_values(role, [f"--config={root}/etc/k3py/none.yaml", *flags], {})
    return Machine(root=root, role=role, values=values | {"config": "/etc/k3py/config.yaml"}, pid=pid)


def write(root: Path, name: str, text: str) -> None:
    """Write a file of the machine."""
    path = root / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def remove(root: Path, name: str) -> None:
    """Remove a file or folder of the machine."""
    path = root / name.lstrip("/")
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()

"""Memory, disk: how much is free, how fast it is, how long it will last."""

from __future__ import annotations

import os
import statistics
import tempfile
from typing import TYPE_CHECKING, Final

import orjson

from k3py.cli.doctor.block_device import device_of, mount_of
from k3py.cli.doctor.finding import error, fine, warning
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from k3py.cli.doctor.finding import Finding
    from k3py.cli.machine import Machine

_MIB: Final = 1 << 20
_LEAST_MIB: Final = {"server": 384, "agent": 192}
_GOOD_MIB: Final = {"server": 512, "agent": 256}
_EVICTION_MIB: Final = 100  # the kubelet's threshold of free memory
_EVICTION_SHARE: Final = 0.05  # and of free disk
_LEAST_FREE: Final = 256 * _MIB
_PROBES: Final = 24
_SLOW_MS: Final = 30.0
_TOO_SLOW_MS: Final = 300.0
_BLOCK: Final = 4096


def check_memory(machine: Machine) -> Iterator[Finding]:
    """Memory and swap."""
    facts = {}
    for line in machine.read("/proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        facts[name] = int(rest.split()[0]) // 1024
    total, free = facts.get("MemTotal", 0), facts.get("MemAvailable", 0)
    role = machine.role
    if total < _LEAST_MIB[role]:
        yield error(
            "memory",
            f"{total} MiB",
            f"a k3py {role} with containerd needs {_GOOD_MIB[role]} MiB",
            "use a machine with more memory, or an agent of another server",
        )
    elif total < _GOOD_MIB[role]:
        yield warning(
            "memory",
            f"{total} MiB",
            "little is left for pods",
            f"{_GOOD_MIB[role]} MiB are comfortable for a {role}",
        )
    elif free < _EVICTION_MIB and machine.runs_pods:
        yield error(
            "memory",
            f"{free} of {total} MiB are free",
            f"below {_EVICTION_MIB} MiB pods are evicted",
            "ps -eo rss,comm --sort=-rss | head   # and end what is not needed",
        )
    else:
        yield fine("memory", f"{free} of {total} MiB are free")
    if facts.get("SwapTotal"):
        compressed = all("zram" in line for line in machine.read("/proc/swaps").splitlines()[1:])
        if not compressed:
            yield warning(
                "memory",
                f"{facts['SwapTotal']} MiB of swap on a disk",
                "pods' memory limits leave swap out; swapping makes everything slow, and wears flash memory out",
                "swapoff -a, and take the swap line out of /etc/fstab (Raspberry Pi OS: systemctl disable --now dphys-swapfile)",
            )


def check_disk(machine: Machine) -> Iterator[Finding]:
    """The file system of the data dir: kind, options, free space and inodes, errors."""
    folder = machine.data_dir
    while not folder.exists():
        folder = folder.parent
    named = str(machine.values["data_dir"])
    mount = mount_of(machine, named)
    problems = list(_mount_problems(machine, named, mount.kind, mount.options))
    yield from problems
    usage = os.statvfs(folder)
    free, size = usage.f_bavail * usage.f_frsize, usage.f_blocks * usage.f_frsize
    inodes = usage.f_favail / usage.f_files if usage.f_files else 1.0
    share = free / size if size else 1.0
    if free < _LEAST_FREE or share < _EVICTION_SHARE or inodes < _EVICTION_SHARE:
        problems.append(
            error(
                "disk",
                f"{free // _MIB} MiB ({share:.0%}) and {inodes:.0%} of the inodes are free below {named}",
                "below 5 % pods are evicted; on a full disk the API becomes read-only",
                f"k3py ctr images ls; du -xh --max-depth=3 {named} | sort -h | tail   # and remove what is not needed",
            )
        )
        yield problems[-1]
    if not problems:
        yield fine("disk", f"{free // _MIB} MiB ({share:.0%}) are free below {named} ({mount.kind})")


def _mount_problems(machine: Machine, named: str, kind: str, options: frozenset[str]) -> Iterator[Finding]:
    if "ro" in options:
        yield error(
            "disk",
            f"{named} is mounted read-only",
            "nothing can be stored; a kernel does this after errors of the disk",
            "dmesg | grep -i error; fsck the disk, then mount -o remount,rw it",
        )
    if kind.startswith(("nfs", "cifs", "smb", "9p", "fuse.sshfs")):
        yield error(
            "disk",
            f"{named} is on a network file system ({kind})",
            "SQLite's write-ahead log and overlay mounts do not work there",
            "choose --data-dir on a local disk",
        )
    if kind in ("tmpfs", "ramfs"):
        yield warning(
            "disk",
            f"{named} is on {kind}",
            "everything is gone after a reboot",
            "choose --data-dir on a disk",
        )
    if kind in ("overlay", "aufs"):
        yield warning(
            "disk",
            f"{named} is on {kind}",
            "overlay mounts cannot lie on one another: images are copied for each pod",
            "choose --data-dir on a disk of its own, or a volume",
        )
    if "noexec" in options and machine.runs_pods:
        yield error(
            "disk",
            f"{named} is mounted noexec",
            "k3py's programs lie there, and containers' files",
            f"mount -o remount,exec {named}, or choose another --data-dir",
        )
    device = device_of(machine, named)
    found = machine.read(f"/sys/fs/ext4/{device.partition}/errors_count")
    if found not in ("", "0"):
        yield error(
            "disk",
            f"{device.partition}: the file system noted {found} errors",
            "the disk or its contents are damaged",
            f"save what matters (k3py etcd-snapshot save), then fsck -f /dev/{device.partition} while it is not mounted",
        )


def check_speed(machine: Machine) -> Iterator[Finding]:
    """How long the disk takes until a small write is safe: every write to the API waits for that."""
    folder = machine.data_dir if machine.data_dir.is_dir() else machine.data_dir.parent
    try:
        times = _time_syncs(folder)
    except OSError as failure:
        yield warning(
            "disk-speed",
            f"cannot write below {folder}: {failure.strerror}",
            "the disk's speed is not known",
            "run k3py doctor as root",
        )
        return
    middle, worst = statistics.median(times), max(times)
    found = f"{_PROBES} writes of 4 KiB, each made durable: half of them within {middle:.1f} ms, all within {worst:.0f} ms"
    if middle > _TOO_SLOW_MS:
        yield error(
            "disk-speed",
            found,
            "clients run into timeouts",
            "move --data-dir to another disk; look for errors: dmesg | grep -iE 'mmc|ata|nvme'",
        )
    elif middle > _SLOW_MS:
        yield warning(
            "disk-speed",
            found,
            "every write to the API waits for this disk",
            "k3py server --datastore-durability=balanced, or --data-dir on a faster disk",
        )
    else:
        yield fine("disk-speed", found)


def _time_syncs(folder: Path) -> list[float]:
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for number in range(_PROBES):
            began = clock.monotonic_s()
            os.pwrite(file.fileno(), bytes(_BLOCK), number * _BLOCK)
            os.fdatasync(file.fileno())
            times.append((clock.monotonic_s() - began) * 1000)
            if sum(times) > 5000:
                break
    return times


def check_wear(machine: Machine) -> Iterator[Finding]:
    """How much of its life the disk has behind it, where it says so: eMMC and SD cards, NVMe and SATA by smartctl."""
    device = device_of(machine, str(machine.values["data_dir"]))
    used = _emmc_used(machine, device.disk)
    if used is None:
        used = (
            _smart_used(machine.ask("smartctl", "-j", "-A", f"/dev/{device.disk}")) if device.disk else None
        )
    written = machine.read(f"/sys/class/block/{device.disk}/stat").split() if device.disk else []
    since = f", {int(written[6]) * 512 // _MIB} MiB written since boot" if len(written) > 6 else ""
    if used is None:
        if device.disk:
            yield fine("disk-wear", f"{device.disk} does not say how worn it is{since}")
        return
    found = f"{device.disk}: {used} % of its life is used{since}"
    if used >= 80:
        level = error if used >= 100 else warning
        yield level(
            "disk-wear",
            found,
            "a worn flash memory loses data or becomes read-only",
            "k3py etcd-snapshot save, keep the snapshot elsewhere, and replace the disk; --datastore-durability=flash spares the next one",
        )
    else:
        yield fine("disk-wear", found)


def _emmc_used(machine: Machine, disk: str) -> int | None:
    """Source: JEDEC JESD84-B51: life time estimations A and B in steps of 10 %, 0x0B = beyond; pre-EOL 2 = 80 %, 3 = 90 %."""
    folder = f"/sys/class/block/{disk}/device"
    steps = [int(one, 16) for one in machine.read(f"{folder}/life_time").split()]
    end = machine.read(f"{folder}/pre_eol_info")
    if not any(steps) and not end:
        return None
    reserve = {2: 80, 3: 90}.get(int(end, 16) if end else 0, 0)
    return max([reserve, *(one * 10 - 10 for one in steps if one)])


def _smart_used(text: str) -> int | None:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    health = document.get("nvme_smart_health_information_log") or {}
    if "percentage_used" in health:
        return int(health["percentage_used"])
    for one in (document.get("ata_smart_attributes") or {}).get("table") or ():
        if one.get("name") in (
            "Wear_Leveling_Count",
            "Media_Wearout_Indicator",
            "SSD_Life_Left",
            "Percent_Lifetime_Remain",
        ):
            return 100 - int(one["value"])
    return None

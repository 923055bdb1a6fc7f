"""Which file system and which disk hold a path."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k3py.cli.machine import Machine


@dataclass(frozen=True, slots=True)
class Mount:
    """kind: of the file system; options: of mount and file system; number: MAJOR:MINOR of its device."""

    kind: str
    options: frozenset[str]
    number: str


@dataclass(frozen=True, slots=True)
class Device:
    """Names as in /dev, "" = not on a disk."""

    partition: str
    disk: str


def mount_of(machine: Machine, path: str) -> Mount:
    """Return the mount that holds a path, which need not exist yet."""
    best, found = -1, Mount("", frozenset(), "")
    for line in machine.read("/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        words, kind = left.split(), right.split()
        point = words[4].replace("\\040", " ")
        if len(point) >= best and PurePath(path).is_relative_to(point):
            options = frozenset((*words[5].split(","), *kind[2].split(",")))
            best, found = len(point), Mount(kind[0], options, words[2])
    return found


def device_of(machine: Machine, path: str) -> Device:
    """Return the partition and the disk that hold a path."""
    number = mount_of(machine, path).number
    for line in machine.read(f"/sys/dev/block/{number}/uevent").splitlines():
        if line.startswith("DEVNAME="):
            name = line.partition("=")[2]
            disk = name
            if machine.exists(f"/sys/class/block/{name}/partition"):
                disk = (
                    re.sub(r"p?\d+$", "", name) if re.search(r"\dp\d+$", name) else name.rstrip("0123456789")
                )
            return Device(name, disk)
    return Device("", "")

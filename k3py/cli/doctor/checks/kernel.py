"""The kernel: file systems, network parts, control groups, limits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from k3py.cli.doctor.finding import error, fine, warning
from k3py.cli.kernel_config import KernelConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.cli.doctor.finding import Finding
    from k3py.cli.machine import Machine

_OLDEST: Final = (4, 19)
_CONTROLLERS: Final = ("cpu", "cpuset", "memory", "pids")
_WATCHES: Final = 8192
_INSTANCES: Final = 512
_FILES: Final = 65536


def check_kernel(machine: Machine) -> Iterator[Finding]:
    """Version and the parts without which there are no containers, no bridge, no Services."""
    release = machine.read("/proc/sys/kernel/osrelease")
    version = tuple(int(one) for one in re.findall(r"\d+", release)[:2])
    if version and version < _OLDEST:
        yield error(
            "kernel",
            f"Linux {release}",
            "k3py needs 4.19 or newer: Services use nftables sets and maps that older kernels lack",
            "upgrade the system's kernel, then reboot",
        )
    config = KernelConfig.of(machine)
    wanted = {
        "OVERLAY_FS": (
            "overlay",
            "images are unpacked by overlay mounts; without them each pod copies its image",
        ),
        "BRIDGE": ("bridge", "pods of a node hang on a bridge"),
        "VETH": ("veth", "a pod's network interface is one end of a veth pair"),
        "NF_TABLES": ("nf_tables", "Services are nftables rules"),
        "NF_NAT": ("nf_nat", "Services translate addresses"),
        "NF_CONNTRACK": ("nf_conntrack", "Services follow connections"),
    }
    if machine.values.get("flannel_backend", "vxlan") == "vxlan":
        wanted["VXLAN"] = ("vxlan", "pods of different nodes reach each other through VXLAN")
    missing = [name for name in wanted if config.state(name) == "missing"] if machine.runs_pods else []
    for name in missing:
        module, why = wanted[name]
        level = warning if name in ("OVERLAY_FS", "VXLAN") else error
        yield level(
            "kernel",
            f"CONFIG_{name} is missing in Linux {release}",
            why,
            f"modprobe {module} || apt-get install linux-image-$(dpkg --print-architecture)",
        )
    if not missing and version >= _OLDEST:
        yield fine("kernel", f"Linux {release}, all parts are there")


def check_cgroups(machine: Machine) -> Iterator[Finding]:
    """Control groups, version 1 or 2, with the controllers that pods need."""
    if not machine.runs_pods:
        return
    mounts = [line.split() for line in machine.read("/proc/self/mounts").splitlines()]
    types = {words[2] for words in mounts if words[1].startswith("/sys/fs/cgroup")}
    if not types & {"cgroup", "cgroup2"}:
        yield error(
            "cgroups",
            "no control groups are mounted on /sys/fs/cgroup",
            "containers cannot be started without them",
            "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
        )
        return
    unified = machine.read("/sys/fs/cgroup/cgroup.controllers").split()
    if "cgroup" in types:
        listed = [line.split() for line in machine.read("/proc/cgroups").splitlines() if line[:1] != "#"]
        found = [words[0] for words in listed if words[3] == "1"]
        mounted = {option for words in mounts if words[2] == "cgroup" for option in words[3].split(",")}
        kind, found = "version 1", [name for name in found if name in mounted]
    else:
        kind, found = "version 2", unified
    missing = [name for name in _CONTROLLERS if name not in found]
    if not missing:
        yield fine("cgroups", f"{kind}, with {', '.join(_CONTROLLERS)}")
    for name in missing:
        if name == "memory":
            yield error(
                "cgroups",
                f"{kind}: the controller memory is off",
                "limits of pods' memory do not hold, and a greedy pod takes the machine down",
                "add cgroup_enable=memory cgroup_memory=1 to the kernel's command line "
                "(Raspberry Pi: /boot/firmware/cmdline.txt; else GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub), then reboot",
            )
        else:
            yield warning(
                "cgroups",
                f"{kind}: the controller {name} is off",
                f"limits of pods that need {name} do not hold",
                f"use a kernel with CONFIG_CGROUPS and the controller {name}, or take cgroup_disable={name} off its command line",
            )


def check_limits(machine: Machine) -> Iterator[Finding]:
    """Forwarding and the kernel's limits of files and watches."""
    problems = False
    if machine.runs_pods and machine.read("/proc/sys/net/ipv4/ip_forward") == "0" and machine.pid:
        problems = True
        yield error(
            "limits",
            "net.ipv4.ip_forward is 0 although k3py runs",
            "packets of pods do not leave the node; something turned off what k3py turns on when it starts",
            "sysctl -w net.ipv4.ip_forward=1, and take the setting out of /etc/sysctl.conf and /etc/sysctl.d",
        )
    for name, least in (
        ("fs.inotify.max_user_instances", _INSTANCES if machine.runs_pods else 0),
        ("fs.inotify.max_user_watches", _WATCHES),
        ("fs.file-max", _FILES),
    ):
        text = machine.read("/proc/sys/" + name.replace(".", "/", 1).replace(".", "/"))
        if text.isdecimal() and int(text) < least:
            problems = True
            yield warning(
                "limits",
                f"{name} is {text}",
                "with many pods that watch files, some fail with 'too many open files'",
                f"echo '{name} = {least}' >/etc/sysctl.d/90-k3py.conf && sysctl -p /etc/sysctl.d/90-k3py.conf",
            )
    if not problems:
        yield fine("limits", "the kernel's limits suffice")

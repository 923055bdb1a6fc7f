"""What the running kernel was built with: its configuration where it shows it, else what it can do now."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.cli.machine import Machine

State = Literal["enabled", "module", "missing", "unknown"]
_FILES: Final = (
    "/proc/config.gz",
    "/boot/config-{release}",
    "/usr/lib/modules/{release}/config",
    "/boot/config",
)
# Without a configuration: files that are there when the part is.
_SIGNS: Final = {
    "NAMESPACES": "/proc/self/ns/pid",
    "NET_NS": "/proc/self/ns/net",
    "PID_NS": "/proc/self/ns/pid",
    "IPC_NS": "/proc/self/ns/ipc",
    "UTS_NS": "/proc/self/ns/uts",
    "USER_NS": "/proc/self/ns/user",
    "CGROUPS": "/proc/self/cgroup",
    "KEYS": "/proc/keys",
    "SECCOMP": "/proc/sys/kernel/seccomp",
    "IP_NF_IPTABLES": "/proc/net/ip_tables_names",
    "NF_CONNTRACK": "/proc/sys/net/netfilter",
    "POSIX_MQUEUE": "/proc/sys/fs/mqueue",
}
_MODULES: Final = {
    "BRIDGE": "bridge",
    "VETH": "veth",
    "VXLAN": "vxlan",
    "OVERLAY_FS": "overlay",
    "NF_TABLES": "nf_tables",
    "NF_NAT": "nf_nat",
    "NF_CONNTRACK": "nf_conntrack",
    "BRIDGE_NETFILTER": "br_netfilter",
}


@dataclass(frozen=True, slots=True)
class KernelConfig:
    """source: the file that was read, "" = the kernel shows none."""

    source: str
    options: dict[str, str]
    machine: Machine

    @classmethod
    def of(cls, machine: Machine) -> KernelConfig:
        """Read it."""
        release = machine.read("/proc/sys/kernel/osrelease")
        for pattern in _FILES:
            name = pattern.format(release=release)
            found = cls.read(machine.path(name), machine)
            if found.source:
                return cls(name, found.options, machine)
        return cls("", {}, machine)

    @classmethod
    def read(cls, path: Path, machine: Machine) -> KernelConfig:
        """Read a named file, packed or not; one without any option has no source."""
        try:
            data = path.read_bytes()
            text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode(errors="replace")
        except (OSError, EOFError, gzip.BadGzipFile):
            text = ""
        lines = (line for line in text.splitlines() if line.startswith("CONFIG_") and "=" in line)
        options = dict(line.removeprefix("CONFIG_").split("=", 1) for line in lines)
        return cls(str(path) if options else "", options, machine)

    def state(self, option: str) -> State:
        """Return how CONFIG_<option> stands."""
        if self.source:
            value = self.options.get(option, "n")
            return "enabled" if value == "y" else "module" if value == "m" else "missing"
        if option == "OVERLAY_FS" and "overlay" in self.machine.read("/proc/filesystems").split():
            return "enabled"
        if option in _SIGNS and self.machine.exists(_SIGNS[option]):
            return "enabled"
        module = _MODULES.get(option, "")
        if not module:
            return "missing" if option in _SIGNS else "unknown"
        if self.machine.exists(f"/sys/module/{module}"):
            return "enabled"
        release = self.machine.read("/proc/sys/kernel/osrelease")
        folder = f"/lib/modules/{release}"
        if not self.machine.exists(f"{folder}/modules.dep"):
            return "unknown"  # in a container, the machine's modules do not show
        lists = self.machine.read(f"{folder}/modules.dep") + self.machine.read(f"{folder}/modules.builtin")
        return "module" if f"/{module}.ko" in lists else "missing"

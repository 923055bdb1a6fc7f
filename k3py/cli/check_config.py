"""`k3py check-config [FILE]`: what the kernel was built with and how the machine is set, in the form of K3s' command (C-06).

FILE is a kernel configuration to read in place of the running kernel's. The exit code is the number of failures.
`k3py doctor` looks at more, and says why and what to do.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.cli.kernel_config import KernelConfig
from k3py.cli.machine import Machine
from k3py.cli.printing import paint
from k3py.cli.server_values import CommandParser
from k3py.config.loader import load_defaults
from k3py.errors import K3pyError
from k3py.runtime.program import MissingProgram, get_cni_dir, get_program

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PROG: Final = "k3py check-config"
# What K3s asks for, less the iptables matches: k3py's Services are nftables rules.
_NEEDED: Final = [
    "NAMESPACES",
    "NET_NS",
    "PID_NS",
    "IPC_NS",
    "UTS_NS",
    "CGROUPS",
    "CGROUP_PIDS",
    "CGROUP_CPUACCT",
    "CGROUP_DEVICE",
    "CGROUP_FREEZER",
    "CGROUP_SCHED",
    "CPUSETS",
    "MEMCG",
    "SECCOMP",
    "KEYS",
    "VETH",
    "BRIDGE",
    "BRIDGE_NETFILTER",
    "NF_TABLES",
    "NFT_CT",
    "NFT_NAT",
    "NFT_MASQ",
    "NF_NAT",
    "NF_CONNTRACK",
    "POSIX_MQUEUE",
]
_OPTIONAL: Final = [
    "USER_NS",
    "BLK_CGROUP",
    "BLK_DEV_THROTTLING",
    "CGROUP_PERF",
    "CGROUP_HUGETLB",
    "NET_CLS_CGROUP",
    "CGROUP_NET_PRIO",
    "CFS_BANDWIDTH",
    "FAIR_GROUP_SCHED",
    "RT_GROUP_SCHED",
    "NFT_REJECT",
    "NFT_FIB",
    "NFT_NUMGEN",
    "IP_NF_NAT",
    "IP_NF_TARGET_MASQUERADE",
    "NETFILTER_XT_MATCH_COMMENT",
    "NETFILTER_XT_MATCH_ADDRTYPE",
    "NETFILTER_XT_MATCH_CONNTRACK",
    "EXT4_FS",
    "EXT4_FS_POSIX_ACL",
    "EXT4_FS_SECURITY",
]
_ENCRYPTION: Final = ("WIREGUARD", "CRYPTO", "XFRM")
_LEAST_KEYS: Final = 10000
_CONTROLLERS: Final = ("cpu", "cpuset", "memory", "pids")


def run(arguments: Sequence[str]) -> int:
    """Check and print; returns the number of failures.

    Raises:
        ConfigError: the command line cannot be used.
        K3pyError: the named file is no kernel configuration.
    """
    parser = CommandParser(_PROG, __doc__ or "")
    parser.add_argument("file", nargs="?", default=os.environ.get("CONFIG", ""), metavar="FILE")
    parsed = parser.parse_args(arguments)
    machine = Machine(root=Path("/"), role="server", values=load_defaults("server"))
    config = KernelConfig.read(Path(parsed.file), machine) if parsed.file else KernelConfig.of(machine)
    if parsed.file and not config.source:
        raise K3pyError(f"{parsed.file}: is no kernel configuration")
    return Report(machine, config, print).write()


class Report:
    """Writes the sections and counts failures."""

    def __init__(self, machine: Machine, config: KernelConfig, write: Callable[[str], object]) -> None:
        self._machine = machine
        self._config = config
        self._write = write
        self._failures = 0

    def write(self) -> int:
        """Write all of it; return the number of failures."""
        self._write("")
        self._programs()
        self._system()
        self._limits()
        source = self._config.source or "nowhere: the kernel shows none, so files and modules are looked at"
        self._write(f"info: reading kernel config from {source} ...\n")
        self._kernel()
        self._write("")
        if self._failures:
            self._write(f"STATUS: {paint(f'{self._failures} (fail)', 'red')}")
        else:
            self._good("STATUS", "pass")
        return self._failures

    def _good(self, name: str, state: str) -> None:
        self._write(f"{name}: {paint(state, 'green')}")

    def _bad(self, name: str, state: str) -> None:
        self._failures += 1
        self._write(f"{name}: {paint(f'{state} (fail)', 'red')}")

    def _warn(self, name: str, state: str) -> None:
        self._write(f"{name}: {paint(state, 'yellow')}")

    def _programs(self) -> None:
        self._write("Programs:")
        for name in ("containerd", "runc", "nft", "ip"):
            try:
                self._good(f"- {name}", str(get_program(name)))
            except MissingProgram:
                self._bad(f"- {name}", "missing")
        try:
            self._good("- CNI plugins", str(get_cni_dir()))
        except MissingProgram:
            self._bad("- CNI plugins", "missing")
        self._write("")

    def _system(self) -> None:
        self._write("System:")
        swap = len(self._machine.read("/proc/swaps").splitlines()) > 1
        if swap:
            self._warn("- swap", "should be disabled")
        else:
            self._good("- swap", "disabled")
        if self._routed_elsewhere():
            self._warn("- routes", "default CIDRs 10.42.0.0/16 or 10.43.0.0/16 already routed")
        else:
            self._good("- routes", "ok")
        self._write("")

    def _routed_elsewhere(self) -> bool:
        """Whether an interface that is not k3py's leads to pods or Services (/proc/net/route: hexadecimal, lowest byte first)."""
        for line in self._machine.read("/proc/net/route").splitlines()[1:]:
            interface, target = line.split()[:2]
            first = bytes.fromhex(target)[::-1][:2]
            if first in (bytes((10, 42)), bytes((10, 43))) and interface not in ("cni0", "k3py.1"):
                return True
        return False

    def _limits(self) -> None:
        self._write("Limits:")
        name = "/proc/sys/kernel/keys/root_maxkeys"
        text = self._machine.read(name)
        if text.isdecimal() and int(text) <= _LEAST_KEYS:
            self._bad(f"- {name}", text)
            self._write(f"    must be more than {_LEAST_KEYS}: sysctl -w kernel.keys.root_maxkeys=1000000")
        else:
            self._good(f"- {name}", text or "not there")
        self._write("")

    def _kernel(self) -> None:
        self._write("Generally Necessary:")
        self._cgroups()
        self._flags(_NEEDED, needed=True)
        self._write("\nOptional Features:")
        self._flags(_OPTIONAL)
        self._write('- Network Drivers:\n  - "vxlan":')
        self._flags(("VXLAN",), indent="    ")
        self._write("      Optional (for encrypted networks):")
        self._flags(_ENCRYPTION, indent="      ")
        self._write('- Storage Drivers:\n  - "overlay":')
        self._flags(("OVERLAY_FS",), indent="    ")

    def _cgroups(self) -> None:
        types = [
            words[2]
            for words in map(str.split, self._machine.read("/proc/self/mounts").splitlines())
            if words[1].startswith("/sys/fs/cgroup")
        ]
        if not types:
            self._bad("- cgroup hierarchy", "cgroups Nonexistent")
            return
        if "cgroup" in types:
            variant = "Hybrid" if "cgroup2" in types else "V1"
            listed = [
                words for line in self._machine.read("/proc/cgroups").splitlines() if (words := line.split())
            ]
            found = {words[0] for words in listed if words[-1] == "1"}
        else:
            variant = "V2"
            found = set(self._machine.read("/sys/fs/cgroup/cgroup.controllers").split())
        status = "good" if found.issuperset(_CONTROLLERS) else "bad"
        tell = self._good if status == "good" else self._bad
        tell(
            "- cgroup hierarchy",
            f"cgroups {variant} mounted, {'|'.join(_CONTROLLERS)} controllers status: {status}",
        )

    def _flags(self, names: Sequence[str], *, needed: bool = False, indent: str = "") -> None:
        for name in names:
            match self._config.state(name):
                case "enabled":
                    self._good(f"{indent}- CONFIG_{name}", "enabled")
                case "module":
                    self._good(f"{indent}- CONFIG_{name}", "enabled (as module)")
                case "missing" if needed:
                    self._bad(f"{indent}- CONFIG_{name}", "missing")
                case "missing":
                    self._warn(f"{indent}- CONFIG_{name}", "missing")
                case "unknown":
                    self._warn(f"{indent}- CONFIG_{name}", "unknown")

"""Kernel settings that pod networking needs; what cannot be written is told once, and is no reason to stop."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Final

from k3py.util.process import ProcessFailed, run

_log = logging.getLogger(__name__)

_WANTED: Final = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    "net/bridge/bridge-nf-call-iptables": "1",
    "net/bridge/bridge-nf-call-ip6tables": "1",
}
_LOAD_S: Final = 10.0
_NEEDED: Final = ("net/ipv4/ip_forward",)


async def load_bridge_module(root: Path = Path("/proc/sys"), *, modprobe: Path | None = None) -> bool:
    """Load the module with which bridges ask nftables, if the kernel does not have it yet; say whether it is there.

    Without it, packets between two pods of this node pass by Services' rules and network policies.

    Args:
        root: where settings are.
        modprobe: the program; None = look for it.
    """
    if (root / "net/bridge").exists():
        return True
    program = modprobe or shutil.which("modprobe", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is not None:
        try:
            await run([program, "br_netfilter"], timeout_s=_LOAD_S)
        except ProcessFailed as error:
            _log.warning("the module br_netfilter cannot be loaded: %s", error)
    if (root / "net/bridge").exists():
        return True
    _log.error("no br_netfilter: network policies and Services do not hold between pods of this node")
    return False


def apply_kernel_settings(root: Path = Path("/proc/sys")) -> list[str]:
    """Set forwarding, and bridges to ask nftables; return the settings that differ and cannot be written. Blocking.

    Only what differs is written, so that read-only files with the right content are fine. A setting whose file is absent (a bridge
    module not loaded yet, IPv6 switched off) is passed over, except forwarding.
    """
    failed = []
    for name, wanted in _WANTED.items():
        path = root / name
        try:
            if path.read_text().strip() != wanted:
                path.write_text(wanted)
        except FileNotFoundError:
            if name in _NEEDED:
                failed.append(name)
        except OSError as error:
            _log.warning("%s cannot be set to %s: %s", name.replace("/", "."), wanted, error)
            failed.append(name)
    return failed

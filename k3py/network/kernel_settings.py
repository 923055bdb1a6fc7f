"""Kernel settings that pod networking needs; what cannot be written is told once, and is no reason to stop."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)

_WANTED: Final = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    "net/bridge/bridge-nf-call-iptables": "1",
    "net/bridge/bridge-nf-call-ip6tables": "1",
}
_NEEDED: Final = ("net/ipv4/ip_forward",)


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

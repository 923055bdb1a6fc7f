"""Names of ports. Source: k8s.io/apimachinery/pkg/util/validation v0.35 (IANA service names)."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"[-a-z0-9]+\Z")


def find_port_name_faults(name: str) -> list[str]:
    """Check an IANA service name."""
    faults = []
    if len(name) > 15:
        faults.append("must be no more than 15 characters")
    if not _NAME.match(name):
        faults.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not any(char.isalpha() for char in name):
        faults.append("must contain at least one letter (a-z)")
    if "--" in name:
        faults.append("must not contain consecutive hyphens")
    if name.startswith("-") or name.endswith("-"):
        faults.append("must not begin or end with a hyphen")
    return faults

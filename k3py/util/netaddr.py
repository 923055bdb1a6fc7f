"""Addresses and ranges of one or both IP families, as settings write them: with a comma between, primary first. Pure."""

from __future__ import annotations

import ipaddress


def split_pair(text: str) -> tuple[str, ...]:
    """Return the members of "10.42.0.0/16,fd42::/56" or of one address; () for ""."""
    return tuple(part for part in (one.strip() for one in text.split(",")) if part)


def is_ipv6(address: str) -> bool:
    """Say whether an address or range is of IPv6."""
    return ":" in address


def first_host(cidr: str) -> str:
    """Return the first usable address of a range: of a node's pods, the bridge's."""
    return str(ipaddress.ip_network(cidr)[1])

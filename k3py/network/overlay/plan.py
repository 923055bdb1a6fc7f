"""Which pod ranges lie behind which nodes. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from k3py.network.interface import Peer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.jsontypes import JsonObject


def plan_peers(nodes: Iterable[JsonObject], *, own_name: str) -> tuple[Peer, ...]:
    """Return the other nodes that have an address and a range, in order; an address that two nodes claim goes to the first range."""
    found = []
    for node in nodes:
        if node["metadata"]["name"] == own_name:
            continue
        address = find_address(node)
        cidr = (node.get("spec") or {}).get("podCIDR", "")
        if address and cidr and ipaddress.ip_network(cidr).version == 4:
            found.append(Peer(cidr, address))
    return tuple(sorted(found))


def find_address(node: JsonObject) -> str:
    """Return a node's IPv4 InternalIP, "" when it has none."""
    for one in (node.get("status") or {}).get("addresses") or ():
        if one["type"] == "InternalIP" and ":" not in one["address"]:
            return str(one["address"])
    return ""


def make_mac(address: str) -> str:
    """Return the hardware address of a node's overlay device, from its IPv4 address: peers need not be told."""
    return "02:6b:" + ":".join(f"{byte:02x}" for byte in ipaddress.IPv4Address(address).packed)

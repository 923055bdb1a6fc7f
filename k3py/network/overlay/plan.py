"""Which pod ranges lie behind which nodes. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING

from k3py.network.interface import Peer, node_ranges
from k3py.util.netaddr import is_ipv6

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.jsontypes import JsonObject


def plan_peers(
    nodes: Iterable[JsonObject], *, own_name: str, outer_ipv6: bool | None = False
) -> tuple[Peer, ...]:
    """Return the other nodes' ranges, each with the node's address, in order; nodes without such an address are left out.

    Args:
        nodes: all Nodes.
        own_name: this node.
        outer_ipv6: the family of addresses to use; None = that of the range.
    """
    found = []
    for node in nodes:
        if node["metadata"]["name"] == own_name:
            continue
        addresses = list_addresses(node)
        for cidr in node_ranges(node):
            wanted = is_ipv6(cidr) if outer_ipv6 is None else outer_ipv6
            address = next((one for one in addresses if is_ipv6(one) == wanted), "")
            if address:
                found.append(Peer(cidr, address))
    return tuple(sorted(found))


def list_addresses(node: JsonObject) -> list[str]:
    """Return a node's InternalIPs."""
    listed = (node.get("status") or {}).get("addresses") or ()
    return [one["address"] for one in listed if one["type"] == "InternalIP"]


def make_mac(address: str) -> str:
    """Return the hardware address of a node's overlay device, from its address: peers need not be told."""
    packed = ipaddress.ip_address(address).packed
    last = packed if len(packed) == 4 else hashlib.sha256(packed).digest()[:4]
    return "02:6b:" + ":".join(f"{byte:02x}" for byte in last)


def make_link_local(address: str) -> str:
    """Return the link-local address by which a node's overlay device is the next hop to its IPv6 ranges, from its address."""
    return str(
        ipaddress.IPv6Address(b"\xfe\x80" + bytes(8) + bytes.fromhex(make_mac(address).replace(":", "")))
    )

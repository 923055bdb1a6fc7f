"""VXLAN: pods' packets to other nodes travel in UDP (port 8472, VNI 1, as flannel's), across any network between the nodes.

Nothing is learned and nothing is flooded: forwarding and neighbour entries are written for every peer, and hardware addresses follow from
node addresses. Source: the vxlan backend of flannel (its design; k3s.md §5.5).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import orjson

from k3py.network.interface import Overlay
from k3py.network.overlay.plan import make_link_local, make_mac
from k3py.util.netaddr import is_ipv6
from k3py.util.process import run

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.network.interface import Peer
    from k3py.network.own_address import OwnAddress

_log = logging.getLogger(__name__)

DEVICE: Final = "k3py.1"
VNI: Final = "1"
PORT: Final = "8472"
OVERHEAD_BYTES: Final = 50


class VxlanOverlay(Overlay):
    """One device a node.

    Args:
        ip: the ip program. bridge: the bridge program (both of iproute2).
        own: this node's addresses; the primary one is the outer source, and where the hardware address comes from.
    """

    def __init__(self, *, ip: Path, bridge: Path, own: OwnAddress) -> None:
        self._ip = ip
        self._bridge = bridge
        self._own = own
        self._peers: tuple[Peer, ...] = ()

    @property
    def outer_ipv6(self) -> bool | None:
        """All ranges travel between the nodes' primary addresses."""
        return is_ipv6(self._own.all[0])

    async def set_up(self, *, ranges: tuple[str, ...]) -> None:
        """Make the device, or take over one that is right; routes of an earlier k3py stay until `apply` replaces them."""
        node_ip = self._own.all[0]
        mac = make_mac(node_ip)
        if not await self._is_right(mac, node_ip):
            self._peers = ()  # what led to them goes with the device
            await run([self._ip, "link", "delete", DEVICE], check=False)
            kind = ["type", "vxlan", "id", VNI, "local", node_ip, "dstport", PORT, "nolearning"]
            await run([self._ip, "link", "add", DEVICE, "address", mac, *kind])
        for cidr in ranges:
            address = f"{make_link_local(node_ip)}/64" if is_ipv6(cidr) else f"{cidr.partition('/')[0]}/32"
            await run([self._ip, "address", "replace", address, "dev", DEVICE, *_no_check(cidr)])
        await run([self._ip, "link", "set", DEVICE, "up"])

    async def _is_right(self, mac: str, node_ip: str) -> bool:
        done = await run([self._ip, "-d", "-j", "link", "show", DEVICE], check=False)
        if done.returncode:
            return False
        (found,) = orjson.loads(done.stdout)
        data = found.get("linkinfo", {}).get("info_data", {})
        return bool(found.get("address") == mac and data.get("local") == node_ip)

    async def apply(self, peers: tuple[Peer, ...]) -> None:
        """Lead to exactly these peers."""
        kept = {peer.address for peer in peers}
        for gone in set(self._peers) - set(peers):
            await run(
                [self._ip, *_family(gone), "route", "delete", gone.pod_cidr, "dev", DEVICE], check=False
            )
            await run([self._ip, "neigh", "delete", _next_hop(gone), "dev", DEVICE], check=False)
            if gone.address not in kept:
                mac = make_mac(gone.address)
                await run([self._bridge, "fdb", "delete", mac, "dev", DEVICE], check=False)
        for peer in peers:
            if peer in self._peers:
                continue
            mac, hop = make_mac(peer.address), _next_hop(peer)
            await run([self._bridge, "fdb", "replace", mac, "dev", DEVICE, "dst", peer.address])
            await run([self._ip, "neigh", "replace", hop, "lladdr", mac, "dev", DEVICE, "nud", "permanent"])
            via = ["via", hop, "dev", DEVICE, "onlink"]
            await run([self._ip, *_family(peer), "route", "replace", peer.pod_cidr, *via])
            _log.info(
                "pods behind another node can be reached",
                extra={"range": peer.pod_cidr, "node": peer.address},
            )
        self._peers = peers


def _next_hop(peer: Peer) -> str:
    return make_link_local(peer.address) if is_ipv6(peer.pod_cidr) else peer.gateway


def _family(peer: Peer) -> list[str]:
    return ["-6"] if is_ipv6(peer.pod_cidr) else []


def _no_check(cidr: str) -> list[str]:
    """Nobody else can have the address: it need not be asked for."""
    return ["nodad"] if is_ipv6(cidr) else []

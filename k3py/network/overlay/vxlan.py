"""VXLAN: pods' packets to other nodes travel in UDP (port 8472, VNI 1, as flannel's), across any network between the nodes.

Nothing is learned and nothing is flooded: forwarding and neighbour entries are written for every peer, and hardware addresses follow from
node addresses. Source: the vxlan backend of flannel (its design; k3s.md §5.5).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import orjson

from k3py.network.interface import Overlay
from k3py.network.overlay.plan import make_mac
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
        own: this node's IPv4 address: the outer source, and where the hardware address comes from.
    """

    def __init__(self, *, ip: Path, bridge: Path, own: OwnAddress) -> None:
        self._ip = ip
        self._bridge = bridge
        self._own = own
        self._peers: tuple[Peer, ...] = ()

    async def set_up(self, *, pod_cidr: str) -> None:
        """Make the device, or take over one that is right; routes of an earlier k3py stay until `apply` replaces them."""
        node_ip = self._own.all[0]
        mac = make_mac(node_ip)
        if not await self._is_right(mac, node_ip):
            self._peers = ()  # what led to them goes with the device
            await run([self._ip, "link", "delete", DEVICE], check=False)
            kind = ["type", "vxlan", "id", VNI, "local", node_ip, "dstport", PORT, "nolearning"]
            await run([self._ip, "link", "add", DEVICE, "address", mac, *kind])
        address = pod_cidr.partition("/")[0]
        await run([self._ip, "address", "replace", f"{address}/32", "dev", DEVICE])
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
        for gone in set(self._peers) - set(peers):
            mac = make_mac(gone.address)
            await run([self._ip, "route", "delete", gone.pod_cidr, "dev", DEVICE], check=False)
            await run([self._ip, "neigh", "delete", gone.gateway, "dev", DEVICE], check=False)
            await run([self._bridge, "fdb", "delete", mac, "dev", DEVICE], check=False)
        for peer in peers:
            if peer in self._peers:
                continue
            mac = make_mac(peer.address)
            await run([self._bridge, "fdb", "replace", mac, "dev", DEVICE, "dst", peer.address])
            await run(
                [self._ip, "neigh", "replace", peer.gateway, "lladdr", mac, "dev", DEVICE, "nud", "permanent"]
            )
            via = ["via", peer.gateway, "dev", DEVICE, "onlink"]
            await run([self._ip, "route", "replace", peer.pod_cidr, *via])
            _log.info(
                "pods behind another node can be reached",
                extra={"range": peer.pod_cidr, "node": peer.address},
            )
        self._peers = peers

"""host-gw: plain routes through the other nodes, for nodes on one link; nothing is wrapped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.network.interface import Overlay
from k3py.util.process import run

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.network.interface import Peer


class HostGwOverlay(Overlay):
    """Routes of the main table.

    Args:
        ip: the ip program.
    """

    def __init__(self, *, ip: Path) -> None:
        self._ip = ip
        self._peers: tuple[Peer, ...] = ()

    @property
    def outer_ipv6(self) -> bool | None:
        """Routes need a next hop of their own family."""
        return None

    async def set_up(self, *, ranges: tuple[str, ...]) -> None:
        """Nothing to make; routes of before may have gone with the node's address."""
        self._peers = ()

    async def apply(self, peers: tuple[Peer, ...]) -> None:
        """Lead to exactly these peers."""
        for gone in set(self._peers) - set(peers):
            await run([self._ip, "route", "delete", gone.pod_cidr, "via", gone.address], check=False)
        for peer in peers:
            if peer not in self._peers:
                await run([self._ip, "route", "replace", peer.pod_cidr, "via", peer.address])
        self._peers = peers

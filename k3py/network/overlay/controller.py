"""OverlayController: keeps an overlay equal to the cluster's nodes. Woken by their changes, never by a clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from k3py.api.resource import NODES
from k3py.network.interface import node_ranges
from k3py.network.overlay.plan import list_addresses, plan_peers
from k3py.util.supervise import Component, Policy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from k3py.client.interface import InformerFactory
    from k3py.jsontypes import JsonObject
    from k3py.network.interface import Overlay, Peer
    from k3py.network.masquerade import Masquerade


class OverlayController(Component):
    """Waits for this node's range, then follows the others'.

    Args:
        informers: of nodes.
        overlay: None = another program connects the nodes.
        masquerade: hides pods' addresses from what lies outside of the cluster.
        node_name: this node.
        before: called before the overlay is set up again because the node's address has changed.
    """

    def __init__(
        self,
        informers: InformerFactory,
        overlay: Overlay | None,
        masquerade: Masquerade,
        *,
        node_name: str,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._nodes = informers.informer(NODES)
        self._overlay = overlay
        self._masquerade = masquerade
        self._node_name = node_name
        self._before = before
        self._moved = False
        self._wake = asyncio.Event()
        self._nodes.add_handler(self._on_change)

    @property
    def name(self) -> str:
        """Return "overlay"."""
        return "overlay"

    @property
    def policy(self) -> Policy:
        """What could not be written is written again later."""
        return Policy.RESTART

    def _on_change(self, old: JsonObject | None, new: JsonObject | None) -> None:
        """Heartbeats do not matter; ranges and addresses do."""
        before, after = (
            None if one is None else (node_ranges(one), list_addresses(one)) for one in (old, new)
        )
        if before != after:
            self._wake.set()

    def address_changed(self) -> None:
        """Set the overlay up again: this node's address is another one."""
        self._moved = True
        self._wake.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Follow the nodes until cancelled; routes stay."""
        await self._nodes.wait_synced()
        started()
        ranges: tuple[str, ...] = ()
        applied: tuple[Peer, ...] | None = None
        while True:
            self._wake.clear()
            own = self._nodes.lister.find("", self._node_name)
            found = node_ranges(own or {})
            moved = self._moved
            if moved and self._before is not None:
                await self._before()
            if found and (found != ranges or moved):
                await self._masquerade.apply(ranges=found)
                if self._overlay is not None:
                    await self._overlay.set_up(ranges=found)
                ranges, applied, self._moved = found, None, False
            outer = None if self._overlay is None else self._overlay.outer_ipv6
            peers = plan_peers(self._nodes.lister.list(), own_name=self._node_name, outer_ipv6=outer)
            if ranges and self._overlay is not None and peers != applied:
                await self._overlay.apply(peers)
                applied = peers
            await self._wake.wait()

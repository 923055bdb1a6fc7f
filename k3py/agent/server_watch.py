"""Follows where the API servers are, and tells the agent's list of servers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from k3py.api.resource import ENDPOINT_SLICES
from k3py.cluster.server_list import server_addresses
from k3py.util.supervise import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.client.interface import InformerFactory
    from k3py.cluster.server_list import ServerList
    from k3py.jsontypes import JsonObject


class ServerWatch:
    """A component: the EndpointSlices of the Service `kubernetes` become the list of servers (J-58)."""

    name = "server-watch"
    policy = Policy.RESTART

    def __init__(self, servers: ServerList, informers: InformerFactory) -> None:
        self._servers = servers
        self._slices = informers.informer(ENDPOINT_SLICES)
        self._wake = asyncio.Event()
        self._slices.add_handler(self._on_change)

    async def run(self, started: Callable[[], None]) -> None:
        """Learn until cancelled."""
        started()
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._servers.learn(server_addresses(self._slices.lister.list("default")))

    def _on_change(self, old: JsonObject | None, new: JsonObject | None) -> None:
        if server_addresses(one for one in (old, new) if one is not None):
            self._wake.set()

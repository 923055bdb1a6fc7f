"""NftablesProxy: keeps table `inet k3py` equal to the services, by `nft -f -`, one transaction a change.

The first application replaces what an earlier k3py left; the rules stay when k3py stops, so that pods keep their services.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from k3py.network.interface import ServiceProxy
from k3py.network.nftables import NftTable
from k3py.network.proxy.planner import TABLE, find_stale_udp, plan_rules
from k3py.util.process import run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from k3py.network.interface import ServicePort
    from k3py.network.proxy.planner import UdpFlow

_log = logging.getLogger(__name__)

_CONNTRACK_S: Final = 60.0


class NftablesProxy(ServiceProxy):
    """The service proxy of this node.

    Args:
        nft: The nft program.
        conntrack: The conntrack program, or None: then UDP clients of a lost endpoint wait until the kernel forgets by itself.
        cluster_cidrs: Ranges of pods.
    """

    def __init__(
        self, *, nft: Path, conntrack: Path | None = None, cluster_cidrs: Sequence[str] = ()
    ) -> None:
        self._table = NftTable(nft=nft, table=TABLE)
        self._conntrack = conntrack
        self._cluster_cidrs = tuple(cluster_cidrs)
        self._ports: tuple[ServicePort, ...] = ()

    async def apply(self, ports: tuple[ServicePort, ...]) -> None:
        """Make the rules equal to `ports`.

        Raises:
            ProcessFailed: nft refuses; the rules are then as before, and the next call writes all of them anew.
        """
        await self._table.apply(plan_rules(ports, cluster_cidrs=self._cluster_cidrs))
        stale = find_stale_udp(self._ports, ports)
        self._ports = ports
        await self._forget(stale)

    async def remove(self) -> None:
        """Take the table away."""
        self._ports = ()
        await self._table.apply(None)

    async def _forget(self, flows: Sequence[UdpFlow]) -> None:
        if self._conntrack is None:
            return
        for flow in flows:
            command = [str(self._conntrack), "-D", "-p", "udp", "--orig-port-dst", str(flow.port)]
            command += ["--orig-dst", flow.address] if flow.address else []
            command += ["--reply-src", flow.endpoint] if flow.endpoint else []
            command += ["-f", "ipv6"] if ":" in flow.address + flow.endpoint else []
            # Code 1 says that there was no such flow.
            done = await run(command, check=False, timeout_s=_CONNTRACK_S)
            if done.returncode and b"0 flow entries" not in done.stderr:
                _log.warning(
                    "UDP flows to port %d cannot be forgotten: %s",
                    flow.port,
                    done.stderr.decode(errors="replace"),
                )

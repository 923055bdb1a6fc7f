"""NftablesProxy: keeps table `inet k3py` equal to the services, by `nft -f -`, one transaction a change.

The first application replaces what an earlier k3py left; the rules stay when k3py stops, so that pods keep their services.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from k3py.network.interface import ServiceProxy
from k3py.network.nftables import NftTable
from k3py.network.proxy.merged_rules import MergedRules
from k3py.network.proxy.planner import TABLE, find_stale_udp, plan_base, plan_service
from k3py.network.ruleset import Ruleset
from k3py.util.process import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from k3py.network.interface import ServiceKey, ServicePort
    from k3py.network.proxy.planner import UdpFlow

_log = logging.getLogger(__name__)

_CONNTRACK_S: Final = 60.0
_MOST_AT_ONCE: Final = 100  # changed services that are planned in the loop


class NftablesProxy(ServiceProxy):
    """The service proxy of this node.

    Args:
        nft: The nft program.
        conntrack: The conntrack program, or None: then UDP clients of a lost endpoint wait until the kernel forgets by itself.
        cluster_cidrs: Ranges of pods.
        node_port_addresses: Ranges of the node's addresses where node ports answer; () = all.
    """

    def __init__(
        self,
        *,
        nft: Path,
        conntrack: Path | None = None,
        cluster_cidrs: Sequence[str] = (),
        node_port_addresses: Sequence[str] = (),
    ) -> None:
        self._node_port_addresses = tuple(node_port_addresses)
        self._table = NftTable(nft=nft, table=TABLE)
        self._conntrack = conntrack
        self._cluster_cidrs = tuple(cluster_cidrs)
        self._services: dict[ServiceKey, tuple[ServicePort, ...]] = {}
        self._rules = MergedRules(Ruleset())
        self._written = False

    async def replace(self, services: Mapping[ServiceKey, tuple[ServicePort, ...]]) -> None:
        """Make the rules equal to these services.

        Raises:
            ProcessFailed: nft refuses; the rules are then as before, and the next call writes all of them anew.
        """
        before, self._services = self._services, {key: ports for key, ports in services.items() if ports}
        self._written = False
        await self._table.replace(await asyncio.to_thread(self._plan_all))
        self._written = True
        await self._forget(find_stale_udp(_all_ports(before.values()), _all_ports(services.values())))

    async def change(self, services: Mapping[ServiceKey, tuple[ServicePort, ...]]) -> None:
        """Make the rules follow the services that changed.

        Raises:
            ProcessFailed: see `replace`.
        """
        if not self._written:
            await self.replace({**self._services, **services})
            return
        before = [self._services.get(key, ()) for key in services]
        for key, ports in services.items():
            if ports:
                self._services[key] = ports
            else:
                self._services.pop(key, None)
        if len(services) > _MOST_AT_ONCE:
            old, new = await asyncio.to_thread(self._plan_change, services)
        else:
            old, new = self._plan_change(services)
        self._written = False
        await self._table.change(old, new, self._rules.whole)
        self._written = True
        await self._forget(find_stale_udp(_all_ports(before), _all_ports(services.values())))

    async def remove(self) -> None:
        """Take the table away."""
        self._services.clear()
        self._written = False
        await self._table.apply(None)

    def _plan_all(self) -> Ruleset:
        self._rules = MergedRules(plan_base(self._cluster_cidrs, self._node_port_addresses))
        self._plan_change(self._services)
        return self._rules.whole()

    def _plan_change(self, services: Mapping[ServiceKey, tuple[ServicePort, ...]]) -> tuple[Ruleset, Ruleset]:
        return self._rules.change(
            {
                key: plan_service(ports, cluster_cidrs=self._cluster_cidrs) if ports else None
                for key, ports in services.items()
            }
        )

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


def _all_ports(services: Iterable[tuple[ServicePort, ...]]) -> Iterator[ServicePort]:
    return (port for ports in services for port in ports)

"""Hides pods' addresses from what lies outside of the cluster; between pods, on whichever nodes, addresses stay what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.util.netaddr import is_ipv6, split_pair
from k3py.util.process import run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TABLE: Final = "k3py-masquerade"


class Masquerade:
    """One nftables table a family.

    Args:
        nft: the nft program.
        cluster_cidr: ranges of all pods, comma between.
        with_ipv6: hide IPv6 addresses, too; they need not be, as they are usually reached from everywhere.
    """

    def __init__(self, *, nft: Path, cluster_cidr: str, with_ipv6: bool = False) -> None:
        self._nft = nft
        self._cluster_cidrs = split_pair(cluster_cidr)
        self._with_ipv6 = with_ipv6

    def plan(self, ranges: Sequence[str]) -> str:
        """Return the rules for this node's ranges, replacing those that are there."""
        return "".join(self._plan_range(one) for one in ranges if self._with_ipv6 or not is_ipv6(one))

    def _plan_range(self, pod_cidr: str) -> str:
        family = "ip6" if is_ipv6(pod_cidr) else "ip"
        cluster = next((one for one in self._cluster_cidrs if is_ipv6(one) == is_ipv6(pod_cidr)), pod_cidr)
        outside = f"{family} saddr {pod_cidr} {family} daddr != {cluster}"
        multicast = "ff00::/8" if family == "ip6" else "224.0.0.0/4"
        return (
            f"table {family} {TABLE}\n"
            f"delete table {family} {TABLE}\n"
            f"table {family} {TABLE} {{\n"
            "  chain postrouting {\n"
            "    type nat hook postrouting priority srcnat; policy accept;\n"
            f"    {outside} {family} daddr != {multicast} masquerade fully-random\n"
            "  }\n"
            "}\n"
        )

    async def apply(self, *, ranges: Sequence[str]) -> None:
        """Write the rules in one transaction. Raises ProcessFailed."""
        if text := self.plan(ranges):
            await run([self._nft, "-f", "-"], stdin=text.encode())

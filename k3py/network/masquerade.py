"""Hides pods' addresses from what lies outside of the cluster; between pods, on whichever nodes, addresses stay what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.util.process import run

if TYPE_CHECKING:
    from pathlib import Path

TABLE: Final = "k3py-masquerade"


class Masquerade:
    """One nftables table.

    Args:
        nft: the nft program.
        cluster_cidr: range of all pods.
    """

    def __init__(self, *, nft: Path, cluster_cidr: str) -> None:
        self._nft = nft
        self._cluster_cidr = cluster_cidr

    def plan(self, pod_cidr: str) -> str:
        """Return the rules for this node's range, replacing those that are there."""
        family = "ip6" if ":" in pod_cidr else "ip"
        outside = f"{family} saddr {pod_cidr} {family} daddr != {self._cluster_cidr}"
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

    async def apply(self, *, pod_cidr: str) -> None:
        """Write the rules in one transaction. Raises ProcessFailed."""
        await run([self._nft, "-f", "-"], stdin=self.plan(pod_cidr).encode())

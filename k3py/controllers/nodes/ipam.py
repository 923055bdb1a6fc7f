"""Hands every node a range of pod addresses: the first free one of the cluster's range, of each family.

Source: kubernetes/pkg/controller/nodeipam/ipam/range_allocator.go v1.35.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from k3py.api.resource import NODES
from k3py.controllers.interface import Watch
from k3py.util.netaddr import is_ipv6, split_pair

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

_IPV6_MASK_BITS: Final = 64


def plan_ranges(cluster_cidr: str, mask_bits: int, taken: Iterable[str]) -> tuple[str, ...] | None:
    """Return a node's ranges, one of each range in `cluster_cidr` (comma between), or None when one of them has none left.

    mask_bits: size of an IPv4 range; an IPv6 range is a /64.
    """
    used = list(taken)
    found = [
        plan_range(one, _IPV6_MASK_BITS if is_ipv6(one) else mask_bits, used)
        for one in split_pair(cluster_cidr)
    ]
    given = tuple(one for one in found if one is not None)
    return given if len(given) == len(found) else None


def plan_range(cluster_cidr: str, mask_bits: int, taken: Iterable[str]) -> str | None:
    """Return the first subnet of `mask_bits` in `cluster_cidr` that overlaps none of `taken`, or None when all are given away."""
    network = ipaddress.ip_network(cluster_cidr)
    used = [ipaddress.ip_network(one) for one in taken]
    for candidate in network.subnets(new_prefix=max(mask_bits, network.prefixlen)):
        if not any(candidate.version == one.version and candidate.overlaps(one) for one in used):
            return str(candidate)
    return None


class NodeIpamController:
    """See the module; one worker, so that two nodes never get the same range."""

    name = "node-ipam-controller"
    workers = 1

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._recorder = context.recorder
        self._cidr, self._mask_bits = context.cluster_cidr, context.node_mask_bits
        nodes = context.informers.informer(NODES)
        self._nodes = nodes.lister
        self._given: dict[
            str, tuple[str, ...]
        ] = {}  # by node name: ranges written a moment ago, that the lister may not show yet
        self.watches = (Watch(nodes, self._keys_of),)

    def _keys_of(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        if new is None:
            self._given.pop((old or {"metadata": {"name": ""}})["metadata"]["name"], None)
            return ()
        return () if (new.get("spec") or {}).get("podCIDR") else (new["metadata"]["name"],)

    async def reconcile(self, key: str) -> float | None:
        """Give node `key` a range if it has none."""
        node = self._nodes.find("", key)
        if node is None or not self._cidr or (node.get("spec") or {}).get("podCIDR"):
            return None
        taken = [cidr for one in self._nodes.list() for cidr in (one.get("spec") or {}).get("podCIDRs") or ()]
        # the range that was written a moment ago again: lists of ranges are merged, another one would be added to it
        written = (one for ones in self._given.values() for one in ones)
        given = self._given.get(key) or plan_ranges(self._cidr, self._mask_bits, [*taken, *written])
        if given is None:
            self._recorder.event(
                node, "Warning", "CIDRNotAvailable", f"Node {key} status is now: CIDRNotAvailable"
            )
            return 60.0
        self._given[key] = given
        await self._client.patch(NODES, key, {"spec": {"podCIDR": given[0], "podCIDRs": list(given)}})
        return None


def build(context: ControllerContext) -> NodeIpamController:
    """Make the controller."""
    return NodeIpamController(context)

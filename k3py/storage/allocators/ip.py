"""Addresses of Services (clusterIP) out of one range.

Source: pkg/registry/core/service/ipallocator v1.35: network and IPv4 broadcast address are never given, the first
min(max(16, size/16), 256) addresses are for explicit requests.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from k3py.api.validation.scalar import parse_ip
from k3py.storage.allocators.band import BandAllocator

if TYPE_CHECKING:
    from collections.abc import Iterable


_MAX_SIZE = 1 << 16  # upstream's limit for IPv6 ranges; every IPv4 range of use is below it


class AllocationError(ValueError):
    """Why an address or port cannot be had, in upstream's words."""


class IpAllocator:
    """Addresses of `cidr` ("10.43.0.0/16", "fd00::/112")."""

    def __init__(self, cidr: str) -> None:
        self.cidr = cidr
        self._network = ipaddress.ip_network(cidr)
        self._first = int(self._network.network_address) + 1
        usable = self._network.num_addresses - (2 if self._network.version == 4 else 1)
        size = max(0, min(usable, _MAX_SIZE))
        self._band = BandAllocator(size, static_ip_band(size))
        self._size = size

    @property
    def family(self) -> str:
        """Return "IPv4" or "IPv6"."""
        return f"IPv{self._network.version}"

    @property
    def free(self) -> int:
        """Return how many addresses are left."""
        return self._band.free

    def holds(self, address: str) -> bool:
        """Say whether it is an address that this allocator gives."""
        try:
            self._offset(address)
        except AllocationError:
            return False
        return True

    def replace(self, taken: Iterable[str]) -> None:
        """Forget what is noted: these are taken, and no others."""
        self._band = BandAllocator(self._size, static_ip_band(self._size))
        for address in taken:
            if self.holds(address):
                self._band.take(self._offset(address))

    def take(self, address: str) -> None:
        """Take a certain address.

        Raises:
            AllocationError: it is taken, out of range or no address.
        """
        if not self._band.take(self._offset(address)):
            raise AllocationError("provided IP is already allocated")

    def take_any(self) -> str:
        """Take a free address. Raises AllocationError: there is none."""
        offset = self._band.take_any()
        if offset is None:
            raise AllocationError("range is full")
        return str(ipaddress.ip_address(self._first + offset))

    def release(self, address: str) -> None:
        """Give an address back; one out of range is ignored."""
        try:
            self._band.release(self._offset(address))
        except AllocationError:
            return

    def _offset(self, address: str) -> int:
        found = parse_ip(address)
        if found is None:
            raise AllocationError(f"{address} is not an IP address")
        offset = int(found) - self._first
        if found.version != self._network.version or not 0 <= offset < self._size:
            raise AllocationError("the provided network does not match the current range")
        return offset


def static_ip_band(size: int) -> int:
    """Return how many of `size` addresses are for explicit requests."""
    return 0 if size <= 16 else min(max(16, size // 16), 256)

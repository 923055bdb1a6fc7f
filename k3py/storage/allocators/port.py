"""Node ports of Services out of one range, by default 30000-32767.

Source: pkg/registry/core/service/portallocator v1.35: the first min(max(16, size/32), 128) ports are for explicit requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.storage.allocators.band import BandAllocator
from k3py.storage.allocators.ip import AllocationError

if TYPE_CHECKING:
    from collections.abc import Iterable


class PortAllocator:
    """Ports `first` … `last`, both included."""

    def __init__(self, first: int = 30000, last: int = 32767) -> None:
        self._first = first
        self._last = last
        size = last - first + 1
        self._band = BandAllocator(size, static_port_band(size))

    @property
    def free(self) -> int:
        """Return how many ports are left."""
        return self._band.free

    def holds(self, port: int) -> bool:
        """Say whether a port is in the range."""
        return self._first <= port <= self._last

    def replace(self, taken: Iterable[int]) -> None:
        """Forget what is noted: these are taken, and no others."""
        size = self._last - self._first + 1
        self._band = BandAllocator(size, static_port_band(size))
        for port in taken:
            if self.holds(port):
                self._band.take(port - self._first)

    def take(self, port: int) -> None:
        """Take a certain port. Raises AllocationError: it is taken or out of range."""
        if not self._first <= port <= self._last:
            raise AllocationError(
                "provided port is not in the valid range. "
                f"The range of valid ports is {self._first}-{self._last}"
            )
        if not self._band.take(port - self._first):
            raise AllocationError("provided port is already allocated")

    def take_any(self) -> int:
        """Take a free port. Raises AllocationError: there is none."""
        offset = self._band.take_any()
        if offset is None:
            raise AllocationError("range is full")
        return self._first + offset

    def release(self, port: int) -> None:
        """Give a port back; one out of range is ignored."""
        if self._first <= port <= self._last:
            self._band.release(port - self._first)


def static_port_band(size: int) -> int:
    """Return how many of `size` ports are for explicit requests."""
    return 0 if size <= 16 else min(max(16, size // 32), 128)

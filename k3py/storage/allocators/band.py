"""Numbers 0 … size-1, taken by name or by chance; the lower band is kept for those who ask for a certain number.

Source: pkg/registry/core/service/allocator/bitmap.go and KEP-3070, KEP-3668, v1.35.
"""

from __future__ import annotations

import random


class BandAllocator:
    """Which numbers are taken.

    Args:
        size: how many numbers there are.
        static: size of the lower band; automatic ones come from above it first, from it when the rest is full.
    """

    def __init__(self, size: int, static: int) -> None:
        self._size = size
        self._static = min(static, size)
        self._taken: set[int] = set()
        self._random = random.SystemRandom()

    @property
    def free(self) -> int:
        """Return how many numbers are left."""
        return self._size - len(self._taken)

    def take(self, number: int) -> bool:
        """Take a certain number (0 <= number < size); False: somebody has it."""
        if number in self._taken:
            return False
        self._taken.add(number)
        return True

    def take_any(self) -> int | None:
        """Take a free number, None: there is none."""
        for low, high in ((self._static, self._size), (0, self._static)):
            number = self._find_free(low, high)
            if number is not None:
                self._taken.add(number)
                return number
        return None

    def release(self, number: int) -> None:
        """Give a number back; giving back a free one does nothing."""
        self._taken.discard(number)

    def _find_free(self, low: int, high: int) -> int | None:
        if high <= low:
            return None
        start = self._random.randrange(low, high)
        for number in range(start, high):
            if number not in self._taken:
                return number
        for number in range(low, start):
            if number not in self._taken:
                return number
        return None

"""Makes guessing of passwords slow without locking anybody out.

Who has failed often gets slow answers, right or wrong, and only so many at once: a guess costs a second, and an address makes a few of
them a second. Neighbours behind the same address, who know the password, wait that second and are let in.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.errors import K3pyError
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FREE_FAILURES: Final = 10
FORGOTTEN_AFTER_S: Final = 60.0
PAUSE_S: Final = 1.0
MOST_AT_ONCE: Final = 4
_MOST_KNOWN: Final = 4096
_IPV6_NET_BITS: Final = 64


class TooManyGuesses(K3pyError):
    """Refused unread: too many attempts from this address are waiting already."""


@dataclass(slots=True)
class _Guesser:
    failures: int = 0
    last_s: float = 0.0
    waiting: int = 0


class GuessLimit:
    """`async with limit.attempt(address) as attempt:` around each check; `attempt.failed()` when it was wrong."""

    def __init__(self) -> None:
        self._guessers: OrderedDict[str, _Guesser] = OrderedDict()

    @asynccontextmanager
    async def attempt(self, address: str) -> AsyncIterator[Attempt]:
        """Wait as long as this address has to. Raises TooManyGuesses."""
        key = _key_of(address)
        guesser = self._guessers.get(key)
        if guesser is None or clock.monotonic_s() - guesser.last_s > FORGOTTEN_AFTER_S:
            yield Attempt(self, key)
            return
        if guesser.failures >= FREE_FAILURES:
            if guesser.waiting >= MOST_AT_ONCE:
                raise TooManyGuesses("too many wrong passwords from this address, try again later")
            guesser.waiting += 1
            try:
                await asyncio.sleep(PAUSE_S)
            finally:
                guesser.waiting -= 1
        yield Attempt(self, key)

    def note_failure(self, key: str) -> None:
        """Remember that an attempt was wrong."""
        guesser = self._guessers.get(key)
        now_s = clock.monotonic_s()
        if guesser is None or now_s - guesser.last_s > FORGOTTEN_AFTER_S:
            guesser = _Guesser(waiting=guesser.waiting if guesser is not None else 0)
            self._guessers[key] = guesser
        guesser.failures += 1
        guesser.last_s = now_s
        self._guessers.move_to_end(key)
        if len(self._guessers) > _MOST_KNOWN:
            self._guessers.popitem(last=False)


class Attempt:
    """One check of a password."""

    __slots__ = ("_key", "_limit")

    def __init__(self, limit: GuessLimit, key: str) -> None:
        self._limit = limit
        self._key = key

    def failed(self) -> None:
        """It was wrong."""
        self._limit.note_failure(self._key)


def _key_of(address: str) -> str:
    """Return what counts as one guesser: an IPv4 address, a /64 of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, _IPV6_NET_BITS), strict=False))
    return str(parsed)

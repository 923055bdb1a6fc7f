"""Makes guessing of passwords slow without locking anybody out.

Who has failed often gets slow answers, right or wrong, and only so many at once: a guess costs a second, and an address makes a few of
them a second. Neighbours behind the same address, who know the password, wait that second once; what was right before is checked at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import os
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
    """`async with limit.attempt(address, shown) as attempt:` around each check; then `attempt.failed()` or `attempt.proved()`."""

    def __init__(self) -> None:
        self._guessers: OrderedDict[str, _Guesser] = OrderedDict()
        self._proven: OrderedDict[bytes, None] = OrderedDict()
        self._salt = os.urandom(32)  # what is remembered of passwords is of no use outside

    @asynccontextmanager
    async def attempt(self, address: str, shown: str) -> AsyncIterator[Attempt]:
        """Wait as long as this address has to, unless what it shows was right before. Raises TooManyGuesses."""
        key = _key_of(address)
        digest = hashlib.sha256(self._salt + shown.encode(errors="surrogateescape")).digest()
        attempt = Attempt(self, key, digest)
        guesser = self._guessers.get(key)
        is_known = guesser is not None and clock.monotonic_s() - guesser.last_s <= FORGOTTEN_AFTER_S
        if guesser is None or not is_known or digest in self._proven:
            yield attempt
            return
        if guesser.failures >= FREE_FAILURES:
            if guesser.waiting >= MOST_AT_ONCE:
                raise TooManyGuesses("too many wrong passwords from this address, try again later")
            guesser.waiting += 1
            try:
                await asyncio.sleep(PAUSE_S)
            finally:
                guesser.waiting -= 1
        yield attempt

    def note_success(self, digest: bytes) -> None:
        """Remember that something was right."""
        self._proven[digest] = None
        self._proven.move_to_end(digest)
        if len(self._proven) > _MOST_KNOWN:
            self._proven.popitem(last=False)

    def note_failure(self, key: str, digest: bytes) -> None:
        """Remember that an attempt was wrong."""
        self._proven.pop(digest, None)  # it was right once, and is no more
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

    __slots__ = ("_digest", "_key", "_limit")

    def __init__(self, limit: GuessLimit, key: str, digest: bytes) -> None:
        self._limit = limit
        self._key = key
        self._digest = digest

    def failed(self) -> None:
        """It was wrong."""
        self._limit.note_failure(self._key, self._digest)

    def proved(self) -> None:
        """It was right."""
        self._limit.note_success(self._digest)


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

"""AnswerCache: what name servers said, for as long as they said it is good, and no longer than half a minute. Least used goes first.

Also that there is nothing (negative answers, by the SOA that comes with them). Nothing is cleaned by a clock: what is too old is found so
when it is asked for. Source: the cache of CoreDNS as K3s configures it (`cache 30`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.util import clock
from k3py.wire.dns import DnsError
from k3py.wire.dns_lifetime import Lifetime, read_lifetime, renew

if TYPE_CHECKING:
    from k3py.wire.dns import Query

LONGEST_S: Final = 30
_MOST_ENTRIES: Final = 2000
_LARGEST_BYTES: Final = 4096


class AnswerCache:
    """Responses by question."""

    def __init__(self, *, most: int = _MOST_ENTRIES) -> None:
        self._most = most
        self._entries: dict[tuple[bytes, bool, bool], tuple[bytes, Lifetime, float]] = {}

    def find(self, query: Query) -> bytes | None:
        """Return the response to a query, None when none is known."""
        key = _key(query)
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        data, lifetime, since_s = entry
        age_s = clock.monotonic_s() - since_s
        if age_s >= min(lifetime.ttl_s, LONGEST_S):
            return None
        self._entries[key] = entry  # the last used is the last
        return renew(data, lifetime, query, age_s=int(age_s))

    def put(self, query: Query, data: bytes) -> None:
        """Keep a response, if it may be kept."""
        try:
            lifetime = read_lifetime(data)
        except DnsError:
            return
        if lifetime is None or lifetime.ttl_s < 1 or len(data) > _LARGEST_BYTES:
            return
        if len(self._entries) >= self._most:
            del self._entries[next(iter(self._entries))]
        self._entries[_key(query)] = (data, lifetime, clock.monotonic_s())


def _key(query: Query) -> tuple[bytes, bool, bool]:
    # Names differ in spelling only; what kind of answer the client takes is part of the question.
    return query.raw_question.lower(), query.edns, query.dnssec

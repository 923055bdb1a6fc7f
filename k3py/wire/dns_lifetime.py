"""How long a DNS response may be kept, and what it is after a while: its times to live, counted down. Sans I/O.

Source: RFC 1035 (times to live), 2308 (answers that there is nothing), 8020.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from k3py.wire.dns import NOERROR, NXDOMAIN, OPT, SOA, DnsError, Query

_HEADER: Final = struct.Struct("!6H")
_TRUNCATED: Final = 0x0200
_LONGEST_WALK: Final = 4096  # records of a message at most


@dataclass(frozen=True, slots=True)
class Lifetime:
    """ttl_s: how long the whole response is good. offsets: where its times to live are (4 bytes each)."""

    ttl_s: int
    offsets: tuple[int, ...]


def read_lifetime(data: bytes) -> Lifetime | None:
    """Return the lifetime of a response, None when it must not be kept: truncated, an error, or nothing that says how long.

    Raises:
        DnsError: it is cut off.
    """
    if len(data) < _HEADER.size:
        raise DnsError("shorter than a header")
    _, flags, questions, answers, authorities, extra = _HEADER.unpack_from(data)
    code = flags & 0xF
    if flags & _TRUNCATED or code not in (NOERROR, NXDOMAIN):
        return None
    at = _HEADER.size
    for _ in range(questions):
        at = _skip_name(data, at) + 4
    offsets: list[int] = []
    lives: list[int] = []
    negative: int | None = None
    total = answers + authorities + extra
    if total > _LONGEST_WALK:
        raise DnsError("too many records")
    for number in range(total):
        at = _skip_name(data, at)
        if at + 10 > len(data):
            raise DnsError("truncated record")
        kind, _, ttl_s, size = struct.unpack_from("!2HIH", data, at)
        end = at + 10 + size
        if end > len(data):
            raise DnsError("truncated record")
        if kind != OPT:
            offsets.append(at + 4)
            if number < answers:
                lives.append(ttl_s)
            elif kind == SOA and size >= 22:
                negative = min(ttl_s, int.from_bytes(data[end - 4 : end], "big"))
        at = end
    if answers and code == NOERROR:
        return Lifetime(min(lives), tuple(offsets))
    return None if negative is None else Lifetime(negative, tuple(offsets))


def renew(data: bytes, lifetime: Lifetime, query: Query, *, age_s: int) -> bytes:
    """Return a kept response as the answer to `query` (the same question): its id and spelling, times to live `age_s` seconds shorter."""
    copy = bytearray(data)
    copy[:2] = query.id.to_bytes(2, "big")
    copy[_HEADER.size : _HEADER.size + len(query.raw_question)] = query.raw_question
    for at in lifetime.offsets:
        left = max(0, int.from_bytes(copy[at : at + 4], "big") - age_s)
        copy[at : at + 4] = left.to_bytes(4, "big")
    return bytes(copy)


def cut(data: bytes, query: Query) -> bytes:
    """Return a response that says no more than that the whole one does not fit: to be asked for over TCP."""
    _, flags, *_ = _HEADER.unpack_from(data)
    return _HEADER.pack(query.id, flags | _TRUNCATED, 1, 0, 0, 0) + query.raw_question


def is_truncated(data: bytes) -> bool:
    """Say whether a response was cut off by its sender."""
    return len(data) >= _HEADER.size and bool(int.from_bytes(data[2:4], "big") & _TRUNCATED)


def _skip_name(data: bytes, at: int) -> int:
    while True:
        if at >= len(data):
            raise DnsError("truncated name")
        size = data[at]
        if size >= 0xC0:
            return at + 2
        at += size + 1
        if size == 0:
            return at

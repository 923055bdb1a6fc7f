"""DNS messages, as far as a cluster's DNS server meets them: one question in, answers out. Sans I/O.

Source: RFC 1035 (messages), 2782 (SRV), 6891 (EDNS).
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field
from typing import Final

A, NS, CNAME, SOA, PTR, TXT, AAAA, SRV, OPT, ANY = 1, 2, 5, 6, 12, 16, 28, 33, 41, 255
IN: Final = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
CLASSIC_BYTES: Final = 512
_HEADER: Final = struct.Struct("!6H")
_LONGEST_NAME: Final = 255
_MOST_LABELS: Final = 128


class DnsError(ValueError):
    """Bytes that are not a DNS query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question.

    name: as asked, without the final dot; compare it in lower case. raw_question: to be repeated in the answer. max_bytes: largest UDP
    answer that the client takes; edns: whether it said so; dnssec: whether it wants signatures.
    """

    id: int
    opcode: int
    recursion: bool
    name: str
    type: int
    cls: int
    raw_question: bytes
    max_bytes: int = CLASSIC_BYTES
    edns: bool = False
    dnssec: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """A resource record; `data` is text for A, AAAA, CNAME, PTR, TXT, and (priority, weight, port, target) for SRV."""

    name: str
    type: int
    ttl_s: int
    data: str | tuple[int, int, int, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a name: a response code, records for it, and records that save the client a second question."""

    code: int = NOERROR
    records: tuple[Record, ...] = ()
    extra: tuple[Record, ...] = field(default=())


def parse_query(data: bytes) -> Query:
    """Read a query with one question.

    Raises:
        DnsError: too short, an answer, more or less than one question, or a malformed name.
    """
    if len(data) < _HEADER.size:
        raise DnsError("shorter than a header")
    number, flags, questions, _, _, additional = _HEADER.unpack_from(data)
    if flags & 0x8000 or questions != 1:
        raise DnsError("no query with one question")
    name, at = _read_name(data, _HEADER.size)
    if at + 4 > len(data):
        raise DnsError("truncated question")
    kind, cls = struct.unpack_from("!2H", data, at)
    max_bytes, edns, dnssec = CLASSIC_BYTES, False, False
    rest = at + 4
    # The only additional record of a query that matters is OPT: a root name, its type, and the size as its class.
    if additional and len(data) >= rest + 11 and data[rest] == 0:
        option, size = struct.unpack_from("!2H", data, rest + 1)
        if option == OPT:
            max_bytes, edns = max(CLASSIC_BYTES, min(size, 4096)), True
            dnssec = bool(data[rest + 7] & 0x80)
    return Query(
        id=number,
        opcode=flags >> 11 & 0xF,
        recursion=bool(flags & 0x0100),
        name=name,
        type=kind,
        cls=cls,
        raw_question=data[_HEADER.size : rest],
        max_bytes=max_bytes,
        edns=edns,
        dnssec=dnssec,
    )


def _read_name(data: bytes, at: int) -> tuple[str, int]:
    """Read a name without compression (a question comes first, there is nothing to point to)."""
    labels: list[str] = []
    total = 0
    while True:
        if at >= len(data):
            raise DnsError("truncated name")
        size = data[at]
        at += 1
        if size == 0:
            return ".".join(labels), at
        total += size + 1
        if size > 63 or at + size > len(data) or total > _LONGEST_NAME or len(labels) >= _MOST_LABELS:
            raise DnsError("malformed name")
        labels.append(data[at : at + size].decode("latin-1"))
        at += size


def build_response(
    query: Query,
    answer: Answer,
    *,
    authority: Record | None = None,
    authoritative: bool = True,
    limit: int = 65535,
) -> bytes:
    """Return the response; records that do not fit into `limit` bytes are left out and the truncation bit is set."""
    flags = 0x8000 | query.opcode << 11 | 0x0080 | answer.code
    flags |= 0x0400 if authoritative else 0
    flags |= 0x0100 if query.recursion else 0
    option = b"\0" + struct.pack("!2HIH", OPT, 1232, 0, 0) if query.edns else b""
    body = bytearray(query.raw_question)
    room = limit - _HEADER.size - len(body) - len(option)
    counts = [0, 0, 0]
    sections = (answer.records, (authority,) if authority is not None else (), answer.extra)
    full = False
    for number, records in enumerate(sections):
        for record in records:
            packed = _pack(record, query)
            if len(packed) > room:
                full = full or number == 0
                break
            room -= len(packed)
            body += packed
            counts[number] += 1
        if full:
            break
    flags |= 0x0200 if full else 0
    counts[2] += bool(option)
    return _HEADER.pack(query.id, flags, 1, *counts) + bytes(body) + option


def build_error(data: bytes, code: int) -> bytes:
    """Return a response to bytes that cannot be read further than their id; b"" when not even that."""
    if len(data) < 2:
        return b""
    return _HEADER.pack(int.from_bytes(data[:2], "big"), 0x8000 | code, 0, 0, 0, 0)


def _pack(record: Record, query: Query) -> bytes:
    # The question's name stands at offset 12 of every message: records about it point there.
    name = b"\xc0\x0c" if record.name.lower() == query.name.lower() else pack_name(record.name)
    data = _pack_data(record)
    return name + struct.pack("!2HIH", record.type, IN, record.ttl_s, len(data)) + data


def _pack_data(record: Record) -> bytes:
    data = record.data
    if isinstance(data, tuple):
        priority, weight, port, target = data
        return struct.pack("!3H", priority, weight, port) + pack_name(target)
    match record.type:
        case 1 | 28:
            return ipaddress.ip_address(data).packed
        case 5 | 12:
            return pack_name(data)
        case 16:
            text = data.encode()
            return bytes((len(text),)) + text
        case 6:
            return (
                pack_name(f"ns.dns.{data}")
                + pack_name(f"hostmaster.{data}")
                + struct.pack("!5I", 1, 7200, 1800, 86400, 5)
            )
    raise DnsError(f"type {record.type}")


def pack_name(name: str) -> bytes:
    """Return a name on the wire, uncompressed. Raises DnsError for labels longer than 63 bytes."""
    out = bytearray()
    for label in name.rstrip(".").split(".") if name.rstrip(".") else ():
        raw = label.encode("latin-1")
        if not 0 < len(raw) < 64:
            raise DnsError(f"label {label!r}")
        out.append(len(raw))
        out += raw
    out.append(0)
    return bytes(out)

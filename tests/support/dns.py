"""A small DNS client for tests: makes queries and reads responses, independent of the code under test."""

from __future__ import annotations

import ipaddress
import struct


def make_query(name: str, kind: int, *, number: int = 7, size: int = 0) -> bytes:
    """Return a query; `size` > 0 adds EDNS with that UDP size."""
    labels = b"".join(bytes((len(one),)) + one.encode() for one in name.split(".") if one)
    option = b"\0" + struct.pack("!2HIH", 41, size, 0, 0) if size else b""
    header = struct.pack("!6H", number, 0x0100, 1, 0, 0, 1 if size else 0)
    return header + labels + b"\0" + struct.pack("!2H", kind, 1) + option


def read_response(data: bytes) -> dict[str, object]:
    """Return id, code, truncated, authoritative and the answers as (name, type, text); additional ones under "extra"."""
    number, flags, _, answers, authorities, extra = struct.unpack_from("!6H", data)
    _, at = _name(data, 12)
    at += 4
    sections = []
    for count in (answers, authorities, extra):
        found = []
        for _ in range(count):
            name, at = _name(data, at)
            kind, _, _, size = struct.unpack_from("!2HIH", data, at)
            at += 10
            found.append((name, kind, _text(data, at, size, kind)))
            at += size
        sections.append(found)
    return {
        "id": number,
        "code": flags & 15,
        "truncated": bool(flags & 0x0200),
        "authoritative": bool(flags & 0x0400),
        "answers": sections[0],
        "authority": sections[1],
        "extra": [one for one in sections[2] if one[1] != 41],
    }


def _name(data: bytes, at: int) -> tuple[str, int]:
    labels: list[str] = []
    while True:
        size = data[at]
        if size >= 0xC0:
            rest, _ = _name(data, (size & 0x3F) << 8 | data[at + 1])
            return ".".join([*labels, rest]), at + 2
        at += 1
        if size == 0:
            return ".".join(labels), at
        labels.append(data[at : at + size].decode())
        at += size


def _text(data: bytes, at: int, size: int, kind: int) -> str:
    raw = data[at : at + size]
    if kind in (1, 28):
        return str(ipaddress.ip_address(raw))
    if kind in (5, 12):
        return _name(data, at)[0]
    if kind == 16:
        return raw[1:].decode()
    if kind == 33:
        priority, weight, port = struct.unpack_from("!3H", data, at)
        return f"{priority} {weight} {port} {_name(data, at + 6)[0]}"
    return raw.hex()

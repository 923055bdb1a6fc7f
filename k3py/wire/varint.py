"""Protobuf's primitive encodings, shared by every protobuf codec of k3py (Kubernetes objects, CRI, etcd).

Source: the public protobuf encoding specification. Pure functions on bytes; no knowledge of messages.
"""

from __future__ import annotations

from typing import Final

VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
FIXED32: Final = 5

_MASK64: Final = (1 << 64) - 1


class ProtobufError(ValueError):
    """Bytes that are not a valid protobuf message."""


def put_varint(out: bytearray, value: int) -> None:
    """Append `value` as a varint; a negative one becomes its ten-byte two's complement."""
    value &= _MASK64
    while value > 0x7F:
        out.append((value & 0x7F) | 0x80)
        value >>= 7
    out.append(value)


def put_tag(out: bytearray, number: int, wire_type: int) -> None:
    """Append the key of a field."""
    put_varint(out, number << 3 | wire_type)


def put_bytes(out: bytearray, number: int, value: bytes | bytearray) -> None:
    """Append a length-delimited field."""
    size = len(value)
    if number < 16 and size < 128:
        out.append(number << 3 | LENGTH)
        out.append(size)
    else:
        put_tag(out, number, LENGTH)
        put_varint(out, size)
    out += value


def get_varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """Read an unsigned varint at offset `at`; return it and the offset behind it.

    Raises:
        ProtobufError: truncated, or longer than ten bytes.
    """
    result = shift = 0
    size = len(data)
    while at < size:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & _MASK64, at
        shift += 7
        if shift > 63:
            break
    raise ProtobufError("truncated or over-long varint")


def to_int64(value: int) -> int:
    """Read an unsigned 64-bit varint as a signed integer (int32 and int64 are both sent so)."""
    return value - (1 << 64) if value >= 1 << 63 else value


def get_length(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """Read a length prefix at `at`; return (start, end) of the payload.

    Raises:
        ProtobufError: the payload runs past the end of `data`.
    """
    size, start = get_varint(data, at)
    end = start + size
    if end > len(data):
        raise ProtobufError("length-delimited field runs past the end")
    return start, end


def skip_field(data: bytes | memoryview, at: int, wire_type: int) -> int:
    """Return the offset behind the unknown field whose payload starts at `at`.

    Raises:
        ProtobufError: unknown wire type or truncated payload.
    """
    if wire_type == VARINT:
        return get_varint(data, at)[1]
    if wire_type == LENGTH:
        return get_length(data, at)[1]
    if wire_type in (FIXED32, FIXED64):
        end = at + (4 if wire_type == FIXED32 else 8)
        if end <= len(data):
            return end
        raise ProtobufError("truncated fixed field")
    raise ProtobufError(f"wire type {wire_type}")

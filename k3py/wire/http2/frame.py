"""Frames of HTTP/2 as bytes. Source: RFC 9113.

length (24) | type (8) | flags (8) | stream (32) | payload
"""

from __future__ import annotations

import struct
from typing import Final

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITISED: Final = 0x20

HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6

NO_ERROR: Final = 0
PROTOCOL_ERROR: Final = 1
INTERNAL_ERROR: Final = 2
FLOW_CONTROL_ERROR: Final = 3
STREAM_CLOSED: Final = 5
FRAME_SIZE_ERROR: Final = 6
REFUSED_STREAM: Final = 7
CANCEL: Final = 8
COMPRESSION_ERROR: Final = 9
ENHANCE_YOUR_CALM: Final = 11

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_BYTES: Final = 9
DEFAULT_WINDOW: Final = 65_535
DEFAULT_FRAME_BYTES: Final = 16_384
MAX_WINDOW: Final = (1 << 31) - 1

HEAD: Final = struct.Struct(">HBBBL")
"""High and low part of the length, type, flags, stream."""

_SETTING: Final = struct.Struct(">HL")
_NUMBER: Final = struct.Struct(">L")
_TWO_NUMBERS: Final = struct.Struct(">LL")


class Http2Error(ValueError):
    """The peer broke the protocol; the connection cannot go on. `code`: what it was told."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Return a frame."""
    size = len(payload)
    return HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream_id) + payload


def settings(values: dict[int, int]) -> bytes:
    """Return a SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join([_SETTING.pack(name, value) for name, value in values.items()]))


def window_update(stream_id: int, size: int) -> bytes:
    """Return a WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, 0, stream_id, _NUMBER.pack(size))


def reset(stream_id: int, code: int) -> bytes:
    """Return a RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream_id, _NUMBER.pack(code))


def go_away(last_stream_id: int, code: int, text: str = "") -> bytes:
    """Return a GOAWAY frame."""
    return frame(GOAWAY, 0, 0, _TWO_NUMBERS.pack(last_stream_id, code) + text.encode())


def read_number(payload: bytes) -> int:
    """Return the first 31 bits of a payload. Raises Http2Error: it is too short."""
    if len(payload) < _NUMBER.size:
        raise Http2Error(FRAME_SIZE_ERROR, "frame is too short")
    number: int = _NUMBER.unpack_from(payload)[0]
    return number & 0x7FFFFFFF


def read_go_away(payload: bytes) -> tuple[int, int, str]:
    """Return (last stream, code, text) of a GOAWAY frame. Raises Http2Error: it is too short."""
    if len(payload) < _TWO_NUMBERS.size:
        raise Http2Error(FRAME_SIZE_ERROR, "GOAWAY is too short")
    last, code = _TWO_NUMBERS.unpack_from(payload)
    return last & 0x7FFFFFFF, code, payload[8:].decode("utf-8", "replace")


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """Return the names and values of a SETTINGS frame. Raises Http2Error: wrong length or value."""
    if len(payload) % _SETTING.size:
        raise Http2Error(FRAME_SIZE_ERROR, "SETTINGS of a wrong length")
    pairs: list[tuple[int, int]] = list(_SETTING.iter_unpack(payload))
    for name, value in pairs:
        if name == INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
            raise Http2Error(FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE {value} is too large")
        if name == MAX_FRAME_SIZE and not DEFAULT_FRAME_BYTES <= value < 1 << 24:
            raise Http2Error(PROTOCOL_ERROR, f"MAX_FRAME_SIZE {value} is not allowed")
        if name == ENABLE_PUSH and value > 1:
            raise Http2Error(PROTOCOL_ERROR, f"ENABLE_PUSH {value} is not allowed")
    return pairs


def unpadded(payload: bytes, flags: int) -> bytes:
    """Return the payload of a HEADERS or DATA frame without padding and priority. Raises Http2Error: they do not fit."""
    start, end = 0, len(payload)
    if flags & PADDED:
        if not payload:
            raise Http2Error(FRAME_SIZE_ERROR, "padded frame without length")
        start, end = 1, end - payload[0]
    if flags & PRIORITISED:
        start += 5
    if start > end:
        raise Http2Error(PROTOCOL_ERROR, "padding does not fit")
    return payload[start:end]

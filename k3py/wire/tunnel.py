"""Frames of the tunnel between a server and an agent: many byte streams in one WebSocket, each with a window of its own.

A frame is one binary message: kind (1 byte), stream number (4 bytes, big endian), then

    OPEN    target, "host:port": the server wants the agent to dial it      server → agent
    OPENED  nothing: the agent has dialled                                  agent → server
    DATA    bytes, at most CHUNK_BYTES                                      both ways
    WINDOW  how many more bytes the other side may send (4 bytes)           both ways
    END     nothing: no more bytes from this side                           both ways
    RESET   why, as text: the stream is over, also instead of OPENED        both ways

A side may have WINDOW_BYTES on their way in each stream until the other side grants more, so that whoever reads slowly holds up nobody else,
and neither end keeps more than that for it. Numbers are the server's to choose and are used once.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

WINDOW_BYTES: Final = 256 * 1024
CHUNK_BYTES: Final = 32 * 1024
LARGEST_FRAME_BYTES: Final = 64 * 1024
LONGEST_TEXT_BYTES: Final = 1024
_HEAD: Final = struct.Struct(">BI")
_COUNT: Final = struct.Struct(">I")


class TunnelError(ValueError):
    """The other side does not keep to the protocol."""


class FrameKind(IntEnum):
    """First byte of a frame."""

    OPEN = 1
    OPENED = 2
    DATA = 3
    WINDOW = 4
    END = 5
    RESET = 6


class Frame(NamedTuple):
    """One message."""

    kind: FrameKind
    stream: int
    payload: bytes = b""

    @property
    def text(self) -> str:
        """The payload of OPEN and RESET."""
        return self.payload.decode("utf-8", "replace")

    @property
    def room(self) -> int:
        """The payload of WINDOW. Raises TunnelError."""
        if len(self.payload) != _COUNT.size:
            raise TunnelError("a window of other than four bytes")
        found: int = _COUNT.unpack(self.payload)[0]
        return found


def encode_frame(kind: FrameKind, stream: int, payload: bytes = b"") -> bytes:
    """Return the message."""
    return _HEAD.pack(kind, stream) + payload


def encode_text(kind: FrameKind, stream: int, text: str) -> bytes:
    """Return an OPEN or RESET; what is too long is cut."""
    return encode_frame(kind, stream, text.encode()[:LONGEST_TEXT_BYTES])


def encode_window(stream: int, count: int) -> bytes:
    """Return a WINDOW that grants `count` bytes more."""
    return encode_frame(FrameKind.WINDOW, stream, _COUNT.pack(count))


def decode_frame(message: bytes) -> Frame:
    """Read a message. Raises TunnelError."""
    if len(message) < _HEAD.size:
        raise TunnelError("a frame without a head")
    kind, stream = _HEAD.unpack_from(message)
    payload = message[_HEAD.size :]
    try:
        known = FrameKind(kind)
    except ValueError:
        raise TunnelError(f"a frame of the unknown kind {kind}") from None
    most = CHUNK_BYTES if known is FrameKind.DATA else LONGEST_TEXT_BYTES
    if len(payload) > most:
        raise TunnelError(f"a frame of {len(payload)} bytes, {most} are allowed")
    return Frame(known, stream, payload)

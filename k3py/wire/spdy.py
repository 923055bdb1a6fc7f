"""SPDY/3.1 frames, as far as Kubernetes streams (exec, attach, port-forward) use them. Sans I/O.

One `SpdyConnection` is one end: `receive` takes bytes and returns events, what is to be sent gathers in `take_output`. There is no flow
control: neither side of Kubernetes' streams does any (moby/spdystream ignores windows), the transport's own has to do.

Source: the SPDY Protocol draft 3.1 (public); frames SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE.

    control: 1 | version (15) | type (16) | flags (8) | length (24) | payload
    data:    0 | stream (31)             | flags (8) | length (24) | payload
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from k3py.wire.spdy_dictionary import DICTIONARY

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION: Final = 3
SYN_STREAM: Final = 1
SYN_REPLY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PING: Final = 6
GOAWAY: Final = 7
HEADERS: Final = 8
WINDOW_UPDATE: Final = 9

FLAG_FIN: Final = 1
MAX_FRAME_BYTES: Final = 1 << 24
MAX_HEADER_BYTES: Final = 64 * 1024
_CHUNK_BYTES: Final = 32 * 1024

STATUS_CANCEL: Final = 5


class SpdyError(ValueError):
    """Bytes that are not SPDY/3.1, or more than is accepted; the connection cannot go on."""


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The peer opened a stream; `fin`: it will send nothing on it."""

    stream_id: int
    headers: Mapping[str, str]
    fin: bool


@dataclass(frozen=True, slots=True)
class StreamAccepted:
    """The peer answered our SYN_STREAM."""

    stream_id: int
    fin: bool


@dataclass(frozen=True, slots=True)
class DataReceived:
    """Bytes of a stream; `fin`: the last ones. Empty data with `fin` ends the stream's half."""

    stream_id: int
    data: bytes
    fin: bool


@dataclass(frozen=True, slots=True)
class StreamReset:
    """The peer gave a stream up."""

    stream_id: int
    status: int


@dataclass(frozen=True, slots=True)
class GoneAway:
    """The peer takes no more streams."""

    last_stream_id: int


Event: TypeAlias = StreamOpened | StreamAccepted | DataReceived | StreamReset | GoneAway


class SpdyConnection:
    """One end of a connection.

    Args:
        client: whether this is the end that dialled; it opens odd streams, the other even ones.
    """

    def __init__(self, *, client: bool) -> None:
        self._next_id = 1 if client else 2
        self._next_ping = 1 if client else 2
        self._input = bytearray()
        self._output = bytearray()
        self._deflate = zlib.compressobj(level=6, wbits=15, zdict=DICTIONARY)
        self._inflate = zlib.decompressobj(wbits=15, zdict=DICTIONARY)

    def take_output(self) -> bytes:
        """Return what has to be sent and forget it."""
        data = bytes(self._output)
        self._output.clear()
        return data

    def open_stream(self, headers: Mapping[str, str], *, fin: bool = False) -> int:
        """Open a stream and return its id; header names go out in lower case."""
        stream_id = self._next_id
        self._next_id += 2
        block = self._compress(headers)
        payload = struct.pack(">IIBB", stream_id, 0, 0, 0) + block
        self._control(SYN_STREAM, FLAG_FIN if fin else 0, payload)
        return stream_id

    def accept_stream(
        self, stream_id: int, headers: Mapping[str, str] | None = None, *, fin: bool = False
    ) -> None:
        """Answer the peer's SYN_STREAM."""
        payload = struct.pack(">I", stream_id) + self._compress(headers or {})
        self._control(SYN_REPLY, FLAG_FIN if fin else 0, payload)

    def send_data(self, stream_id: int, data: bytes, *, fin: bool = False) -> None:
        """Send bytes on a stream, in frames of 32 KiB; `fin` ends this end's half."""
        view = memoryview(data)
        for start in range(0, len(view), _CHUNK_BYTES) or (0,):
            chunk = view[start : start + _CHUNK_BYTES]
            last = fin and start + _CHUNK_BYTES >= len(view)
            self._output += struct.pack(">II", stream_id, (FLAG_FIN if last else 0) << 24 | len(chunk))
            self._output += chunk

    def reset_stream(self, stream_id: int, status: int = STATUS_CANCEL) -> None:
        """Give a stream up."""
        self._control(RST_STREAM, 0, struct.pack(">II", stream_id, status))

    def ping(self) -> None:
        """Ask the peer for a sign of life."""
        self._control(PING, 0, struct.pack(">I", self._next_ping))
        self._next_ping += 2

    def go_away(self, last_stream_id: int = 0) -> None:
        """Tell the peer that the connection is about to end."""
        self._control(GOAWAY, 0, struct.pack(">II", last_stream_id, 0))

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes of the peer and return what they say; pings are answered here.

        Raises:
            SpdyError: not SPDY/3.1.
        """
        self._input += data
        events: list[Event] = []
        start = 0
        while len(self._input) - start >= 8:
            first, second = struct.unpack_from(">II", self._input, start)
            length = second & 0xFFFFFF
            end = start + 8 + length
            if len(self._input) < end:
                break
            payload = bytes(self._input[start + 8 : end])
            start = end
            flags = second >> 24
            if first >> 31:
                if (first >> 16) & 0x7FFF != VERSION:
                    raise SpdyError(f"SPDY version {(first >> 16) & 0x7FFF}")
                self._on_control(first & 0xFFFF, flags, payload, events)
            else:
                events.append(DataReceived(first, payload, bool(flags & FLAG_FIN)))
        del self._input[:start]
        return events

    def _on_control(self, kind: int, flags: int, payload: bytes, events: list[Event]) -> None:
        try:
            match kind:
                case 1:
                    (stream_id,) = struct.unpack_from(">I", payload)
                    headers = self._decompress(payload[10:])
                    events.append(StreamOpened(stream_id & 0x7FFFFFFF, headers, bool(flags & FLAG_FIN)))
                case 2:
                    (stream_id,) = struct.unpack_from(">I", payload)
                    self._decompress(payload[4:])
                    events.append(StreamAccepted(stream_id & 0x7FFFFFFF, bool(flags & FLAG_FIN)))
                case 3:
                    stream_id, status = struct.unpack_from(">II", payload)
                    events.append(StreamReset(stream_id & 0x7FFFFFFF, status))
                case 6:
                    (ping_id,) = struct.unpack_from(">I", payload)
                    # The peer's ids have the other parity; ours come back as answers.
                    if ping_id % 2 != self._next_ping % 2:
                        self._control(PING, 0, payload[:4])
                case 7:
                    (last,) = struct.unpack_from(">I", payload)
                    events.append(GoneAway(last & 0x7FFFFFFF))
                case 8:
                    # Headers of a stream that is open say nothing here, but their block moves the compressor on.
                    self._decompress(payload[4:])
                case _:
                    return
        except struct.error as error:
            raise SpdyError(f"frame of type {kind} is cut short") from error

    def _control(self, kind: int, flags: int, payload: bytes) -> None:
        self._output += struct.pack(">HHI", 0x8000 | VERSION, kind, flags << 24 | len(payload))
        self._output += payload

    def _compress(self, headers: Mapping[str, str]) -> bytes:
        block = bytearray(struct.pack(">I", len(headers)))
        for name, value in headers.items():
            for text in (name.lower(), value):
                raw = text.encode()
                block += struct.pack(">I", len(raw)) + raw
        return self._deflate.compress(bytes(block)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def _decompress(self, data: bytes) -> dict[str, str]:
        try:
            block = self._inflate.decompress(data, MAX_HEADER_BYTES)
        except zlib.error as error:
            raise SpdyError(f"headers cannot be read: {error}") from error
        if self._inflate.unconsumed_tail:
            raise SpdyError("headers are too long")
        headers: dict[str, str] = {}
        (count,) = struct.unpack_from(">I", block)
        position = 4
        for _ in range(count):
            name, position = _text(block, position)
            value, position = _text(block, position)
            headers[name.lower()] = value.replace("\0", ",")
        return headers


def _text(block: bytes, position: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">I", block, position)
    end = position + 4 + length
    if end > len(block):
        raise SpdyError("header block is cut short")
    return block[position + 4 : end].decode("utf-8", "replace"), end

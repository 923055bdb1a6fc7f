"""Messages and statuses as gRPC puts them on HTTP/2. Source: grpc doc/PROTOCOL-HTTP2.md.

A message is a byte (0: not compressed), its length in 32 bits, and its bytes; a call ends with the trailers grpc-status and grpc-message.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from k3py.wire.http2.header_block import STATUS_200, literals

if TYPE_CHECKING:
    from k3py.wire.http2.header_block import Headers

PREFIX: Final = struct.Struct(">BL")
CONTENT_TYPE: Final = (b"content-type", b"application/grpc")
RESPONSE_HEAD: Final = STATUS_200 + literals([CONTENT_TYPE])
OK_TRAILERS: Final = literals([(b"grpc-status", b"0")])

_PRINTABLE: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_UNIT_S: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


def framed(message: bytes) -> bytes:
    """Return `message` with its prefix."""
    return PREFIX.pack(0, len(message)) + message


class MessageBuffer:
    """Cuts a stream's data into messages.

    Args:
        limit_bytes: a larger message is refused by its prefix.
    """

    __slots__ = ("_data", "_limit_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._data = b""
        self._limit_bytes = limit_bytes

    @property
    def is_empty(self) -> bool:
        """Return whether no message has begun."""
        return not self._data

    def feed(self, data: bytes) -> list[bytes]:
        """Take data; return the messages that are complete.

        Raises:
            GRPCError: a message is too large, or compressed.
        """
        if self._data:
            data = self._data + data
        messages = []
        at, size = 0, len(data)
        while size - at >= PREFIX.size:
            compressed, length = PREFIX.unpack_from(data, at)
            if length > self._limit_bytes:
                text = f"grpc: received message larger than max ({length} vs. {self._limit_bytes})"
                raise GRPCError(Status.RESOURCE_EXHAUSTED, text)
            if compressed:
                raise GRPCError(Status.UNIMPLEMENTED, "grpc: compressed messages are not supported")
            end = at + PREFIX.size + length
            if end > size:
                break
            messages.append(data[at + PREFIX.size : end])
            at = end
        self._data = data[at:]
        return messages


def trailers(error: GRPCError) -> bytes:
    """Return the block of the trailers of a call that fails."""
    return literals(
        [
            (b"grpc-status", b"%d" % error.status.value),
            (b"grpc-message", quote(error.message or "", safe=_PRINTABLE).encode()),
        ]
    )


@lru_cache(maxsize=64)
def _status(code: bytes) -> Status:
    try:
        return Status(int(code))
    except ValueError:
        return Status.UNKNOWN


def failure(headers: Headers) -> GRPCError | None:
    """Return the error that trailers (or an answer of headers alone) tell, None: the call went well."""
    fields = dict(headers)
    code = fields.get(b"grpc-status")
    if code == b"0":
        return None
    if code is None:
        return GRPCError(Status.UNKNOWN, "the answer has no grpc-status")
    return GRPCError(_status(code), unquote(fields.get(b"grpc-message", b"").decode("latin-1")))


def timeout_s(headers: Headers) -> float | None:
    """Return what grpc-timeout says, seconds."""
    for name, value in headers:
        if name == b"grpc-timeout":
            unit = _UNIT_S.get(value[-1:])
            return int(value[:-1]) * unit if unit is not None and value[:-1].isdigit() else None
    return None

"""Header blocks of HTTP/2: the door to hpack. Source: RFC 7541.

What we send is written as literals that touch no table, so that a block is the same bytes each time and can be kept. What we receive is
decoded by hpack; a block that changed no table is looked up when it comes again, while the table stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, cast

from hpack import Decoder
from hpack.exceptions import HPACKError

from k3py.wire.http2.frame import COMPRESSION_ERROR, Http2Error

if TYPE_CHECKING:
    from collections.abc import Iterable

Headers: TypeAlias = list[tuple[bytes, bytes]]

STATUS_200: Final = b"\x88"
METHOD_POST: Final = b"\x83"
SCHEME_HTTP: Final = b"\x86"
SCHEME_HTTPS: Final = b"\x87"

MAX_HEADERS_BYTES: Final = 64 << 10
_KEPT: Final = 64
_KEPT_BYTES: Final = 512


def literals(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Encode headers (names in lower case) without indexing and without Huffman."""
    out = bytearray()
    for name, value in headers:
        out.append(0)
        _put_string(out, name)
        _put_string(out, value)
    return bytes(out)


def _put_string(out: bytearray, text: bytes) -> None:
    size = len(text)
    if size < 127:
        out.append(size)
    else:
        out.append(127)
        size -= 127
        while size > 127:
            out.append(size & 127 | 128)
            size >>= 7
        out.append(size)
    out += text


class HeaderDecoder:
    """Decodes the blocks of one connection, in their order."""

    __slots__ = ("_decoder", "_kept")

    def __init__(self) -> None:
        self._decoder = Decoder(MAX_HEADERS_BYTES)
        self._kept: dict[bytes, Headers] = {}

    def decode(self, block: bytes) -> Headers:
        """Return names and values. Raises Http2Error: not HPACK, or too large."""
        ready = self._kept.get(block)
        if ready is not None:
            return ready
        table = self._decoder.header_table
        size, entries = table.maxsize, table.dynamic_entries
        count, newest = len(entries), entries[0] if entries else None
        try:
            headers = cast("Headers", list(self._decoder.decode(block, raw=True)))
        except HPACKError as error:
            raise Http2Error(COMPRESSION_ERROR, f"headers cannot be read: {error}") from None
        same = table.maxsize == size and len(entries) == count and (not count or entries[0] is newest)
        if not same:
            self._kept.clear()
        elif len(self._kept) < _KEPT and len(block) <= _KEPT_BYTES:
            self._kept[block] = headers
        return headers

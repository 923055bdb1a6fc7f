"""An HTTP/2 connection on an asyncio transport: what is to be sent in one turn of the event loop goes out in one write."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from k3py.wire.http2.connection import Http2Connection
from k3py.wire.http2.frame import Http2Error

if TYPE_CHECKING:
    from k3py.wire.http2.header_block import Headers

_UNREAD_BYTES: Final = 32 << 20
"""A peer that leaves so much unread, for all its windows, only asks (pings) and never listens."""


class Http2Protocol(asyncio.Protocol):
    """One connection; server and channel say what comes of what comes in (see `wire.http2.connection.Listener`)."""

    def __init__(self, *, client: bool) -> None:
        self.http2 = Http2Connection(self, client=client)
        self.transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._flushing = False

    def headers_came(self, stream_id: int, headers: Headers, *, end: bool) -> None:
        """See `Listener`."""
        raise NotImplementedError

    def data_came(self, stream_id: int, data: bytes, *, end: bool) -> None:
        """See `Listener`."""
        raise NotImplementedError

    def reset_came(self, stream_id: int, code: int) -> None:
        """See `Listener`."""
        raise NotImplementedError

    def sent(self, stream_id: int) -> None:
        """See `Listener`."""
        raise NotImplementedError

    def go_away_came(self, last_stream_id: int, code: int, text: str) -> None:
        """See `Listener`."""

    def pong_came(self) -> None:
        """See `Listener`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self.transport = cast("asyncio.Transport", transport)
        self.flush()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        try:
            self.http2.receive(data)
        except Http2Error:
            self.flush()
            if self.transport is not None:
                self.transport.close()
            return
        self.flush()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self.http2.pause()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self.http2.resume()
        self.flush()

    def flush_soon(self) -> None:
        """Send what there is to be sent at the end of this turn of the event loop."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what there is to be sent."""
        self._flushing = False
        out = self.http2.take_output()
        transport = self.transport
        if not out or transport is None or transport.is_closing():
            return
        transport.write(out)
        if transport.get_write_buffer_size() > _UNREAD_BYTES:
            transport.abort()

"""One end of an HTTP/2 connection, sans I/O: as much of RFC 9113 as gRPC needs, and as cheap as Python can make it.

`receive` takes bytes and calls the listener; what is to be sent gathers until `take_output`. Data waits here for the peer's windows, streams
that wait take turns, a frame each. There is no push, and priorities are ignored (both as RFC 9113 allows).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from k3py.wire.http2 import frame as f
from k3py.wire.http2.frame import Http2Error
from k3py.wire.http2.header_block import MAX_HEADERS_BYTES, HeaderDecoder

if TYPE_CHECKING:
    from k3py.wire.http2.header_block import Headers

RECEIVE_WINDOW: Final = 16 << 20
STREAM_WINDOW: Final = 4 << 20
_RETURN_BYTES: Final = 1 << 20
"""So much is received before the peer is told that it may send more."""


class Listener(Protocol):
    """What is told of what comes in."""

    def headers_came(self, stream_id: int, headers: Headers, *, end: bool) -> None:
        """Take headers: a new stream's (of a server), an answer's, or trailers."""

    def data_came(self, stream_id: int, data: bytes, *, end: bool) -> None:
        """Take data of an open stream; call `consumed` when it is out of the way."""

    def reset_came(self, stream_id: int, code: int) -> None:
        """Take note that the peer gave an open stream up."""

    def sent(self, stream_id: int) -> None:
        """Take note that all data that had waited is on its way."""

    def go_away_came(self, last_stream_id: int, code: int, text: str) -> None:
        """Take note that the peer takes no new streams, and those after the last one not either."""

    def pong_came(self) -> None:
        """Take note of the answer to a ping."""


class _Stream:
    __slots__ = (
        "end_block",
        "id",
        "owed",
        "queue",
        "receive_window",
        "received_end",
        "send_window",
        "sent_end",
    )

    def __init__(self, stream_id: int, send_window: int) -> None:
        self.id = stream_id
        self.send_window = send_window
        self.receive_window = STREAM_WINDOW
        self.owed = 0
        self.queue: bytearray | None = None
        self.end_block: bytes | None = None
        self.received_end = False
        self.sent_end = False


class Http2Connection:
    """One end.

    Args:
        listener: is told what comes.
        client: which end this is.
    """

    def __init__(self, listener: Listener, *, client: bool) -> None:
        self._listener = listener
        self._client = client
        self._rest = b""
        self._preface = b"" if client else f.PREFACE
        self._streams: dict[int, _Stream] = {}
        self._waiting: deque[_Stream] = deque()
        self._paused = False
        self._send_window = f.DEFAULT_WINDOW
        self._receive_window = RECEIVE_WINDOW
        self._peer_window = f.DEFAULT_WINDOW
        self._peer_frame_bytes = f.DEFAULT_FRAME_BYTES
        self.peer_streams = f.MAX_WINDOW
        self._highest = 0
        self._next_id = 1
        self._decoder = HeaderDecoder()
        self._block: tuple[int, int, bytearray] | None = None
        first = {f.ENABLE_PUSH: 0} if client else {f.MAX_CONCURRENT_STREAMS: f.MAX_WINDOW}
        self._out = [
            f.PREFACE if client else b"",
            f.settings(
                {**first, f.INITIAL_WINDOW_SIZE: STREAM_WINDOW, f.MAX_HEADER_LIST_SIZE: MAX_HEADERS_BYTES}
            ),
            f.window_update(0, RECEIVE_WINDOW - f.DEFAULT_WINDOW),
        ]

    # What is sent

    @property
    def open_streams(self) -> int:
        """Return how many streams are open."""
        return len(self._streams)

    def is_open(self, stream_id: int) -> bool:
        """Return whether the stream has not ended yet on both sides."""
        return stream_id in self._streams

    def take_output(self) -> bytes:
        """Return what is to be sent now."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def open(self, block: bytes) -> int:
        """Open a stream (of a client) with a header block; return its number."""
        stream_id = self._next_id
        self._next_id += 2
        self._streams[stream_id] = _Stream(stream_id, self._peer_window)
        self.send_headers(stream_id, block)
        return stream_id

    def send_headers(self, stream_id: int, block: bytes) -> None:
        """Send a header block of at most 16 KiB; nothing happens when the stream has ended."""
        if stream_id in self._streams:
            self._out.append(f.frame(f.HEADERS, f.END_HEADERS, stream_id, block))

    def send_data(self, stream_id: int, data: bytes) -> bool:
        """Send data; return whether all of it is on its way (else `sent` is called then). Nothing happens when the stream has ended."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return True
        size = len(data)
        if (
            stream.queue is None
            and size <= stream.send_window
            and size <= self._send_window
            and size <= self._peer_frame_bytes
            and not self._paused
        ):
            stream.send_window -= size
            self._send_window -= size
            self._out.append(f.HEAD.pack(size >> 8, size & 0xFF, f.DATA, 0, stream_id))
            self._out.append(data)
            return True
        if stream.queue is None:
            stream.queue = bytearray(data)
            self._waiting.append(stream)
        else:
            stream.queue += data
        self._send_waiting()
        return stream.queue is None

    def end(self, stream_id: int, block: bytes = b"") -> None:
        """End our half of the stream behind its data, with trailers if a block is given. Nothing happens when it has ended."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.sent_end or stream.end_block is not None:
            return
        if stream.queue is None:
            self._end(stream, block)
        else:
            stream.end_block = block

    def reset(self, stream_id: int, code: int) -> None:
        """Give an open stream up."""
        if self._drop(stream_id) is not None:
            self._out.append(f.reset(stream_id, code))

    def ping(self) -> None:
        """Ask the peer for a sign of life."""
        self._out.append(f.frame(f.PING, 0, 0, bytes(8)))

    def go_away(self, code: int = f.NO_ERROR, text: str = "") -> None:
        """Say that no new streams are taken."""
        self._out.append(f.go_away(self._highest, code, text))

    def pause(self) -> None:
        """Send no data for now: the transport is full."""
        self._paused = True

    def resume(self) -> None:
        """Send data again."""
        self._paused = False
        self._send_waiting()

    def consumed(self, stream_id: int, size: int) -> None:
        """Take note that `size` bytes of a stream's data are out of the way: the peer may send as many again."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.received_end:
            return
        stream.owed += size
        if stream.owed >= _RETURN_BYTES:
            self._out.append(f.window_update(stream_id, stream.owed))
            stream.receive_window += stream.owed
            stream.owed = 0

    def _end(self, stream: _Stream, block: bytes) -> None:
        stream.sent_end = True
        if block:
            self._out.append(f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, stream.id, block))
        else:
            self._out.append(f.frame(f.DATA, f.END_STREAM, stream.id))
        if stream.received_end:
            del self._streams[stream.id]
        elif not self._client:
            # The answer is complete before the request is: the rest is not wanted.
            self._out.append(f.reset(stream.id, f.NO_ERROR))
            del self._streams[stream.id]

    def _drop(self, stream_id: int) -> _Stream | None:
        stream = self._streams.pop(stream_id, None)
        if stream is not None and stream.queue is not None:
            stream.queue = None
            self._waiting.remove(stream)
        return stream

    def _send_waiting(self) -> None:
        blocked = 0
        while self._waiting and self._send_window > 0 and not self._paused and blocked < len(self._waiting):
            stream = self._waiting.popleft()
            queue = stream.queue
            if queue is None:
                continue
            size = min(len(queue), stream.send_window, self._send_window, self._peer_frame_bytes)
            if size <= 0 < len(queue):
                self._waiting.append(stream)
                blocked += 1
                continue
            blocked = 0
            stream.send_window -= size
            self._send_window -= size
            self._out.append(f.frame(f.DATA, 0, stream.id, bytes(queue[:size])))
            del queue[:size]
            if queue:
                self._waiting.append(stream)
                continue
            stream.queue = None
            if stream.end_block is not None:
                self._end(stream, stream.end_block)
            self._listener.sent(stream.id)

    # What is received

    def receive(self, data: bytes) -> None:
        """Take bytes from the peer.

        Raises:
            Http2Error: the peer broke the protocol; the last output says so, send it and close.
        """
        try:
            self._receive(data)
        except Http2Error as error:
            self.go_away(error.code, str(error))
            raise

    def _receive(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        at, size = 0, len(data)
        if self._preface:
            if not data.startswith(self._preface[:size]):
                raise Http2Error(f.PROTOCOL_ERROR, "this is no HTTP/2")
            if size < len(self._preface):
                self._rest = data
                return
            at = len(self._preface)
            self._preface = b""
        unpack = f.HEAD.unpack_from
        while size - at >= f.HEAD_BYTES:
            high, low, kind, flags, stream_id = unpack(data, at)
            length = high << 8 | low
            if length > f.DEFAULT_FRAME_BYTES:
                raise Http2Error(f.FRAME_SIZE_ERROR, f"frame of {length} bytes")
            end = at + f.HEAD_BYTES + length
            if end > size:
                break
            payload = data[at + f.HEAD_BYTES : end]
            at = end
            if self._block is not None and kind != f.CONTINUATION:
                raise Http2Error(f.PROTOCOL_ERROR, "headers are not continued")
            if kind == f.DATA:
                self._data(flags, stream_id, payload)
            elif kind == f.HEADERS:
                self._headers(flags, stream_id, payload)
            else:
                self._other(kind, flags, stream_id, payload)
        self._rest = data[at:]

    def _data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self._receive_window -= size
        if self._receive_window < 0:
            raise Http2Error(f.FLOW_CONTROL_ERROR, "more data than the connection's window")
        if self._receive_window <= RECEIVE_WINDOW - _RETURN_BYTES:
            self._out.append(f.window_update(0, RECEIVE_WINDOW - self._receive_window))
            self._receive_window = RECEIVE_WINDOW
        stream = self._streams.get(stream_id)
        if stream is None:
            self._expect_known(stream_id)
            return
        stream.receive_window -= size
        end = bool(flags & f.END_STREAM)
        if stream.receive_window < 0 or stream.received_end:
            self._listener.reset_came(stream_id, f.STREAM_CLOSED)
            self.reset(stream_id, f.STREAM_CLOSED if stream.received_end else f.FLOW_CONTROL_ERROR)
            return
        if flags & f.PADDED:
            payload = f.unpadded(payload, f.PADDED)
            self.consumed(stream_id, size - len(payload))
        if end:
            self._received_end(stream)
        self._listener.data_came(stream_id, payload, end=end)

    def _received_end(self, stream: _Stream) -> None:
        stream.received_end = True
        if stream.sent_end:
            del self._streams[stream.id]

    def _expect_known(self, stream_id: int) -> None:
        """Frames of a stream that has ended may still be on their way; those of one that never was may not."""
        if stream_id == 0 or stream_id > (self._next_id - 2 if self._client else self._highest):
            raise Http2Error(f.PROTOCOL_ERROR, f"stream {stream_id} is not open")

    def _headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if flags & (f.PADDED | f.PRIORITISED):
            payload = f.unpadded(payload, flags)
        if not flags & f.END_HEADERS:
            self._block = (stream_id, flags, bytearray(payload))
            return
        self._header_block(flags, stream_id, payload)

    def _header_block(self, flags: int, stream_id: int, block: bytes) -> None:
        headers = self._decoder.decode(block)
        end = bool(flags & f.END_STREAM)
        stream = self._streams.get(stream_id)
        if stream is not None:
            if stream.received_end or (not self._client and not end):
                raise Http2Error(f.PROTOCOL_ERROR, f"headers behind the end of stream {stream_id}")
            if end:
                self._received_end(stream)
        elif self._client or stream_id <= self._highest:
            self._expect_known(stream_id)
            return
        else:
            if not stream_id & 1:
                raise Http2Error(f.PROTOCOL_ERROR, f"a client cannot open stream {stream_id}")
            self._highest = stream_id
            stream = self._streams[stream_id] = _Stream(stream_id, self._peer_window)
            stream.received_end = end
        self._listener.headers_came(stream_id, headers, end=end)

    def _other(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == f.WINDOW_UPDATE:
            self._window_update(stream_id, f.read_number(payload))
        elif kind == f.SETTINGS:
            if not flags & f.ACK:
                self._settings(payload)
        elif kind == f.PING:
            if len(payload) != 8:
                raise Http2Error(f.FRAME_SIZE_ERROR, "PING of a wrong length")
            if flags & f.ACK:
                self._listener.pong_came()
            else:
                self._out.append(f.frame(f.PING, f.ACK, 0, payload))
        elif kind == f.RST_STREAM:
            code = f.read_number(payload)
            if self._drop(stream_id) is None:
                self._expect_known(stream_id)
            else:
                self._listener.reset_came(stream_id, code)
        elif kind == f.GOAWAY:
            self._listener.go_away_came(*f.read_go_away(payload))
        elif kind == f.CONTINUATION:
            self._continuation(flags, stream_id, payload)
        elif kind == f.PUSH_PROMISE:
            raise Http2Error(f.PROTOCOL_ERROR, "push is switched off")

    def _continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != stream_id:
            raise Http2Error(f.PROTOCOL_ERROR, "continuation of nothing")
        _, first_flags, block = self._block
        block += payload
        if len(block) > MAX_HEADERS_BYTES:
            raise Http2Error(f.ENHANCE_YOUR_CALM, "headers are too large")
        if flags & f.END_HEADERS:
            self._block = None
            self._header_block(first_flags, stream_id, bytes(block))

    def _settings(self, payload: bytes) -> None:
        for name, value in f.read_settings(payload):
            if name == f.INITIAL_WINDOW_SIZE:
                change, self._peer_window = value - self._peer_window, value
                for stream in self._streams.values():
                    stream.send_window += change
            elif name == f.MAX_FRAME_SIZE:
                self._peer_frame_bytes = value
            elif name == f.MAX_CONCURRENT_STREAMS:
                self.peer_streams = value
        self._out.append(f.frame(f.SETTINGS, f.ACK, 0))
        self._send_waiting()

    def _window_update(self, stream_id: int, size: int) -> None:
        if size == 0:
            raise Http2Error(f.PROTOCOL_ERROR, "window update of nothing")
        if stream_id == 0:
            self._send_window += size
            if self._send_window > f.MAX_WINDOW:
                raise Http2Error(f.FLOW_CONTROL_ERROR, "window is too large")
        elif (stream := self._streams.get(stream_id)) is not None:
            stream.send_window += size
            if stream.send_window > f.MAX_WINDOW:
                self._listener.reset_came(stream_id, f.FLOW_CONTROL_ERROR)
                self.reset(stream_id, f.FLOW_CONTROL_ERROR)
                return
        else:
            self._expect_known(stream_id)
            return
        if self._waiting:
            self._send_waiting()

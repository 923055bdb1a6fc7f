"""HTTP/2 against h2, the reference of Python, as the peer; and what no peer of good will sends."""

from __future__ import annotations

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    PingAckReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes

from k3py.wire.http2 import frame as f
from k3py.wire.http2.connection import RECEIVE_WINDOW, STREAM_WINDOW, Http2Connection
from k3py.wire.http2.frame import Http2Error
from k3py.wire.http2.header_block import METHOD_POST, SCHEME_HTTP, STATUS_200, HeaderDecoder, literals

REQUEST = [(":method", "POST"), (":scheme", "http"), (":path", "/a"), (":authority", "b"), ("te", "trailers")]


class Notes:
    def __init__(self):
        self.notes = []

    def headers_came(self, stream_id, headers, *, end):
        self.notes.append(("headers", stream_id, dict(headers), end))

    def data_came(self, stream_id, data, *, end):
        self.notes.append(("data", stream_id, data, end))

    def reset_came(self, stream_id, code):
        self.notes.append(("reset", stream_id, code))

    def sent(self, stream_id):
        self.notes.append(("sent", stream_id))

    def go_away_came(self, last_stream_id, code, text):
        self.notes.append(("go away", last_stream_id, code, text))

    def pong_came(self):
        self.notes.append(("pong",))

    def take(self):
        taken, self.notes = self.notes, []
        return taken


class Pair:
    """Our end and h2's, with a lossless wire between."""

    def __init__(self, *, client):
        self.notes = Notes()
        self.ours = Http2Connection(self.notes, client=client)
        self.peer = H2Connection(H2Configuration(client_side=not client, header_encoding=None))
        self.peer.initiate_connection()
        self.events = []
        self.exchange()

    def exchange(self):
        while True:
            there, back = self.ours.take_output(), self.peer.data_to_send()
            if not there and not back:
                return self
            if there:
                self.events += self.peer.receive_data(there)
            if back:
                self.ours.receive(back)

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


def begun():
    pair = Pair(client=False)
    pair.peer.send_headers(1, REQUEST)
    pair.exchange().notes.take()
    return pair


def test_a_server_takes_a_request_and_answers_with_trailers():
    pair = Pair(client=False)
    pair.peer.send_headers(1, REQUEST)
    pair.peer.send_data(1, b"hello", end_stream=True)
    pair.exchange()
    headers, data = pair.notes.take()
    assert headers == ("headers", 1, {k.encode(): v.encode() for k, v in REQUEST}, False)
    assert data == ("data", 1, b"hello", True)
    pair.ours.send_headers(1, STATUS_200)
    assert pair.ours.send_data(1, b"world")
    pair.ours.end(1, literals([(b"grpc-status", b"0")]))
    pair.exchange()
    assert pair.of(ResponseReceived)[0].headers == [(b":status", b"200")]
    assert pair.of(DataReceived)[0].data == b"world"
    assert pair.of(TrailersReceived)[0].headers == [(b"grpc-status", b"0")]
    assert pair.ours.open_streams == 0


def test_a_client_sends_a_request_and_takes_the_answer():
    pair = Pair(client=True)
    block = METHOD_POST + SCHEME_HTTP + literals([(b":path", b"/x" * 100), (b":authority", b"b")])
    stream_id = pair.ours.open(block)
    pair.ours.send_data(stream_id, b"question")
    pair.ours.end(stream_id)
    pair.exchange()
    assert [event.data for event in pair.of(DataReceived)] == [b"question", b""]
    assert pair.of(StreamEnded)
    pair.peer.send_headers(stream_id, [(":status", "200")])
    pair.peer.send_data(stream_id, b"answer")
    pair.peer.send_headers(stream_id, [("grpc-status", "5")], end_stream=True)
    pair.exchange()
    assert pair.notes.take() == [
        ("headers", 1, {b":status": b"200"}, False),
        ("data", 1, b"answer", False),
        ("headers", 1, {b"grpc-status": b"5"}, True),
    ]
    assert pair.ours.open_streams == 0


def test_large_data_waits_for_the_windows_and_trailers_wait_for_the_data():
    pair = begun()
    body = bytes(range(256)) * 1000
    pair.ours.send_headers(1, STATUS_200)
    assert not pair.ours.send_data(1, body)
    pair.ours.end(1, literals([(b"grpc-status", b"0")]))
    pair.exchange()
    assert sum(len(event.data) for event in pair.of(DataReceived)) == f.DEFAULT_WINDOW
    assert not pair.of(TrailersReceived)
    pair.peer.increment_flow_control_window(len(body))
    pair.exchange()
    assert not pair.of(TrailersReceived)
    pair.peer.increment_flow_control_window(len(body), stream_id=1)
    pair.exchange()
    assert b"".join(event.data for event in pair.of(DataReceived)) == body
    assert pair.of(TrailersReceived)
    assert ("sent", 1) in pair.notes.take()


def test_streams_that_wait_take_turns():
    pair = begun()
    pair.peer.send_headers(3, REQUEST)
    pair.peer.increment_flow_control_window(1 << 20, stream_id=1)
    pair.peer.increment_flow_control_window(1 << 20, stream_id=3)
    pair.exchange()
    for stream_id in (1, 3):
        pair.ours.send_headers(stream_id, STATUS_200)
        pair.ours.send_data(stream_id, bytes(60_000))
    pair.events.clear()
    pair.exchange()
    for _ in range(4):
        pair.peer.increment_flow_control_window(15_000)
        pair.exchange()
    got = dict.fromkeys((1, 3), 0)
    for event in pair.of(DataReceived):
        got[event.stream_id] += len(event.data)
    assert min(got.values()) >= 30_000


def test_nothing_is_sent_while_the_transport_is_full():
    pair = begun()
    pair.ours.send_headers(1, STATUS_200)
    pair.ours.pause()
    assert not pair.ours.send_data(1, b"x")
    pair.exchange()
    assert not pair.of(DataReceived)
    pair.ours.resume()
    pair.exchange()
    assert pair.of(DataReceived)[0].data == b"x"


def test_a_changed_initial_window_holds_for_open_streams():
    pair = begun()
    pair.peer.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 10})
    pair.exchange()
    pair.ours.send_headers(1, STATUS_200)
    assert not pair.ours.send_data(1, bytes(30))
    pair.exchange()
    assert sum(len(event.data) for event in pair.of(DataReceived)) == 10
    pair.peer.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100})
    pair.exchange()
    assert sum(len(event.data) for event in pair.of(DataReceived)) == 30


def test_more_than_all_windows_can_be_received_when_it_is_consumed():
    pair = begun()
    total = 0
    while total < RECEIVE_WINDOW + STREAM_WINDOW:
        size = min(f.DEFAULT_FRAME_BYTES, pair.peer.local_flow_control_window(1))
        pair.peer.send_data(1, bytes(size))
        total += size
        pair.exchange()
        (note,) = pair.notes.take()
        pair.ours.consumed(1, len(note[2]))


def test_a_stream_that_is_not_consumed_is_held_up_by_its_window_alone():
    pair = begun()
    sent = 0
    while size := min(f.DEFAULT_FRAME_BYTES, pair.peer.local_flow_control_window(1)):
        pair.peer.send_data(1, bytes(size))
        sent += size
        pair.exchange()
    assert sent == STREAM_WINDOW
    pair.peer.send_headers(3, REQUEST)
    pair.peer.send_data(3, b"on", end_stream=True)
    pair.exchange()
    assert ("data", 3, b"on", True) in pair.notes.take()


def test_a_reset_ends_the_stream_and_what_is_sent_on_it_later_goes_nowhere():
    pair = begun()
    assert not pair.ours.send_data(1, bytes(100_000))
    pair.peer.reset_stream(1, 8)
    pair.exchange()
    assert ("reset", 1, 8) in pair.notes.take()
    pair.events.clear()
    assert pair.ours.send_data(1, b"late")
    pair.ours.end(1, STATUS_200)
    pair.ours.reset(1, 8)
    assert pair.ours.take_output() == b""


def test_an_answer_before_the_end_of_the_request_resets_the_stream():
    pair = begun()
    pair.ours.end(1, STATUS_200)
    pair.exchange()
    assert pair.of(ResponseReceived)
    assert pair.of(StreamReset)[0].error_code == f.NO_ERROR


def test_pings_are_answered_and_go_away_is_told_both_ways():
    pair = begun()
    pair.peer.ping(b"12345678")
    pair.ours.ping()
    pair.exchange()
    assert pair.of(PingAckReceived)
    assert ("pong",) in pair.notes.take()
    pair.peer.close_connection(error_code=2, additional_data=b"why")
    pair.ours.receive(pair.peer.data_to_send())
    assert pair.notes.take() == [("go away", 0, 2, "why")]
    other = begun()
    other.ours.go_away(0)
    other.exchange()
    assert other.of(ConnectionTerminated)[0].last_stream_id == 1


def test_headers_may_be_continued_padded_and_cut_anywhere():
    block = literals([(b":method", b"POST"), (b"x", b"y" * 300)])
    padded = f.frame(f.HEADERS, f.PADDED | f.PRIORITISED, 1, b"\x03" + bytes(5) + block[:50] + bytes(3))
    data = f.PREFACE + f.settings({}) + padded + f.frame(f.CONTINUATION, 0, 1, block[50:100])
    data += f.frame(f.CONTINUATION, f.END_HEADERS, 1, block[100:])
    data += f.frame(f.DATA, f.PADDED | f.END_STREAM, 1, b"\x02hi" + bytes(2)) + f.frame(
        0x77, 0, 1, b"unknown"
    )
    notes = Notes()
    ours = Http2Connection(notes, client=False)
    for at in range(len(data)):
        ours.receive(data[at : at + 1])
    assert notes.take() == [
        ("headers", 1, {b":method": b"POST", b"x": b"y" * 300}, False),
        ("data", 1, b"hi", True),
    ]


HEADERS_1 = f.frame(f.HEADERS, f.END_HEADERS, 1, METHOD_POST)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", f.PROTOCOL_ERROR),
        (f.PREFACE + f.frame(f.DATA, 0, 1, b"x"), f.PROTOCOL_ERROR),
        (f.PREFACE + f.frame(f.HEADERS, f.END_HEADERS, 2, METHOD_POST), f.PROTOCOL_ERROR),
        (f.PREFACE + f.frame(f.HEADERS, f.END_HEADERS, 1, b"\xff\xff\xff\xff\xff"), f.COMPRESSION_ERROR),
        (f.PREFACE + HEADERS_1 + HEADERS_1, f.PROTOCOL_ERROR),
        (f.PREFACE + f.frame(f.HEADERS, 0, 1, b"") + f.frame(f.PING, 0, 0, bytes(8)), f.PROTOCOL_ERROR),
        (
            f.PREFACE + f.frame(f.HEADERS, 0, 1) + f.frame(f.CONTINUATION, 0, 1, bytes(16_384)) * 5,
            f.ENHANCE_YOUR_CALM,
        ),
        (f.PREFACE + f.frame(f.CONTINUATION, 0, 1), f.PROTOCOL_ERROR),
        (f.PREFACE + f.frame(f.HEADERS, f.PADDED | f.END_HEADERS, 1, b"\x09abc"), f.PROTOCOL_ERROR),
        (f.PREFACE + f.frame(f.SETTINGS, 0, 0, b"abc"), f.FRAME_SIZE_ERROR),
        (f.PREFACE + f.settings({f.INITIAL_WINDOW_SIZE: 1 << 31}), f.FLOW_CONTROL_ERROR),
        (f.PREFACE + f.settings({f.MAX_FRAME_SIZE: 1}), f.PROTOCOL_ERROR),
        (f.PREFACE + f.frame(f.PING, 0, 0, b"short"), f.FRAME_SIZE_ERROR),
        (f.PREFACE + f.window_update(0, 0), f.PROTOCOL_ERROR),
        (f.PREFACE + f.window_update(0, f.MAX_WINDOW), f.FLOW_CONTROL_ERROR),
        (f.PREFACE + f.frame(f.WINDOW_UPDATE, 0, 0, b"x"), f.FRAME_SIZE_ERROR),
        (f.PREFACE + f.frame(f.RST_STREAM, 0, 7, bytes(4)), f.PROTOCOL_ERROR),
        (f.PREFACE + f.frame(f.PUSH_PROMISE, 0, 1), f.PROTOCOL_ERROR),
        (f.PREFACE + f.frame(f.GOAWAY, 0, 0, b"x"), f.FRAME_SIZE_ERROR),
        (f.PREFACE + f.HEAD.pack(0x40, 1, f.DATA, 0, 1), f.FRAME_SIZE_ERROR),
    ],
)
def test_a_peer_that_breaks_the_protocol_is_told_so(data, code):
    ours = Http2Connection(Notes(), client=False)
    ours.take_output()
    with pytest.raises(Http2Error) as caught:
        ours.receive(data)
    assert caught.value.code == code
    out = ours.take_output()
    assert f.HEAD.pack(0, 8 + len(str(caught.value)), f.GOAWAY, 0, 0) in out


def test_a_stream_that_sends_more_than_its_window_is_reset():
    pair = begun()
    frames = f.frame(f.DATA, 0, 1, bytes(16_384)) * (STREAM_WINDOW // 16_384 + 1)
    pair.ours.receive(frames)
    assert pair.notes.take()[-1] == ("reset", 1, f.STREAM_CLOSED)
    assert pair.ours.open_streams == 0


def test_blocks_are_kept_only_while_the_table_is_the_same():
    decoder = HeaderDecoder()
    assert decoder.decode(b"\x40\x01a\x01b") == [(b"a", b"b")]  # now index 62
    assert decoder.decode(b"\xbe") == decoder.decode(b"\xbe") == [(b"a", b"b")]
    assert decoder.decode(b"\x40\x01c\x01d") == [(b"c", b"d")]
    assert decoder.decode(b"\xbe") == [(b"c", b"d")]
    assert decoder.decode(b"\xbf") == [(b"a", b"b")]

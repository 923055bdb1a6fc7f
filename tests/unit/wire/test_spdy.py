"""SPDY/3.1: both ends against each other, and bytes that were recorded from containerd's streaming server."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3py.wire.spdy import (
    DataReceived,
    GoneAway,
    SpdyConnection,
    SpdyError,
    StreamAccepted,
    StreamOpened,
    StreamReset,
)
from k3py.wire.spdy_dictionary import DICTIONARY


def test_the_dictionary_is_the_one_of_the_draft():
    assert len(DICTIONARY) == 1423
    # RFC 1950: a zlib stream names its dictionary by this checksum; SPDY/3's is known from every capture.
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


def pair():
    return SpdyConnection(client=True), SpdyConnection(client=False)


def test_streams_open_are_accepted_and_end():
    client, server = pair()
    first = client.open_stream({"streamType": "stdin"})
    second = client.open_stream({"streamType": "error"}, fin=True)
    assert (first, second) == (1, 3)
    assert server.receive(client.take_output()) == [
        StreamOpened(1, {"streamtype": "stdin"}, fin=False),
        StreamOpened(3, {"streamtype": "error"}, fin=True),
    ]
    server.accept_stream(1)
    server.send_data(1, b"abc", fin=True)
    server.reset_stream(3)
    server.go_away(3)
    assert client.receive(server.take_output()) == [
        StreamAccepted(1, fin=False),
        DataReceived(1, b"abc", fin=True),
        StreamReset(3, 5),
        GoneAway(3),
    ]


def test_an_end_without_data_is_told():
    client, server = pair()
    client.send_data(1, b"", fin=True)
    assert server.receive(client.take_output()) == [DataReceived(1, b"", fin=True)]


def test_pings_are_answered_once():
    client, server = pair()
    client.ping()
    assert server.receive(client.take_output()) == []
    answer = server.take_output()
    assert answer == struct.pack(">HHII", 0x8003, 6, 4, 1)
    assert client.receive(answer) == []
    assert client.take_output() == b""


@given(data=st.binary(max_size=100_000), cut=st.integers(1, 5000))
def test_bytes_arrive_whole_however_they_are_cut(data, cut):
    client, server = pair()
    client.open_stream({"port": "80", "requestID": "0"})
    client.send_data(1, data, fin=True)
    sent = client.take_output()
    events = [
        event for start in range(0, len(sent), cut) for event in server.receive(sent[start : start + cut])
    ]
    received = [one for one in events if isinstance(one, DataReceived)]
    assert b"".join(one.data for one in received) == data
    assert [one.fin for one in received][-1]
    assert not any(one.fin for one in received[:-1])


def test_other_versions_and_broken_headers_are_refused():
    with pytest.raises(SpdyError):
        SpdyConnection(client=False).receive(struct.pack(">HHI", 0x8002, 1, 0))
    with pytest.raises(SpdyError):
        SpdyConnection(client=False).receive(struct.pack(">HHI", 0x8003, 1, 14) + b"\0" * 10 + b"junk")


def test_unknown_control_frames_are_passed_over():
    client, server = pair()
    client.send_data(1, b"x")
    frames = struct.pack(">HHI", 0x8003, 9, 8) + b"\0" * 8 + client.take_output()
    assert server.receive(frames) == [DataReceived(1, b"x", fin=False)]

"""Frames of the tunnel: what is written is read again, and what is no frame is refused."""

import pytest

from k3py.wire.tunnel import (
    CHUNK_BYTES,
    LONGEST_TEXT_BYTES,
    Frame,
    FrameKind,
    TunnelError,
    decode_frame,
    encode_frame,
    encode_text,
    encode_window,
)


def test_frames_are_read_as_they_were_written():
    assert decode_frame(encode_frame(FrameKind.DATA, 7, b"abc")) == Frame(FrameKind.DATA, 7, b"abc")
    assert decode_frame(encode_text(FrameKind.OPEN, 1, "127.0.0.1:10250")).text == "127.0.0.1:10250"
    assert decode_frame(encode_window(2**32 - 1, 65536)).room == 65536
    assert encode_frame(FrameKind.END, 258) == b"\x05\x00\x00\x01\x02"


def test_a_long_reason_is_cut():
    assert len(decode_frame(encode_text(FrameKind.RESET, 1, "x" * 5000)).payload) == LONGEST_TEXT_BYTES


@pytest.mark.parametrize(
    "message",
    [b"", b"\x03\x00", b"\x00\x00\x00\x00\x01", b"\x07\x00\x00\x00\x01", b"\x03\x00\x00\x00\x01" + b"x" * (CHUNK_BYTES + 1)],
)
def test_what_is_no_frame_is_refused(message):
    with pytest.raises(TunnelError):
        decode_frame(message)


def test_a_window_has_four_bytes():
    with pytest.raises(TunnelError):
        _ = decode_frame(encode_frame(FrameKind.WINDOW, 1, b"\x01")).room

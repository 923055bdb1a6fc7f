"""Channels of exec and attach over WebSocket (api-machinery.md §1.16)."""

from __future__ import annotations

import orjson
import pytest

from k3py.wire.remotecommand import (
    BASE64_V1,
    V1,
    V4,
    V5,
    Channel,
    ChannelError,
    Message,
    choose_protocol,
    decode_message,
    encode_message,
    error_for,
    make_exit_status,
    remote_streams,
)


def test_the_best_offered_protocol_is_chosen():
    assert choose_protocol([V1, V5, V4]) == V5
    assert choose_protocol([]) == ""
    assert choose_protocol(["other"]) is None


def test_a_message_is_channel_and_data():
    assert encode_message(V4, Channel.STDOUT, b"x") == b"\x01x"
    assert decode_message(V4, b"\x00in") == Message(0, b"in")
    assert encode_message(BASE64_V1, Channel.STDERR, b"hi") == b"2aGk="
    assert decode_message(BASE64_V1, b"0aGk=") == Message(0, b"hi")


def test_only_v5_closes_channels():
    assert decode_message(V5, b"\xff\x00") == Message(Channel.CLOSE, b"\x00")
    for payload in (b"\xff\x00", b""):
        with pytest.raises(ChannelError):
            decode_message(V4, payload)


def test_old_protocols_get_text_instead_of_a_status():
    status = orjson.dumps(make_exit_status(3))
    assert error_for(V4, status) == status
    assert error_for(V1, status) == b"command terminated with non-zero exit code: exit status 3"
    assert error_for(V1, b'{"status":"Success"}') == b""


def test_a_terminal_has_no_stderr_and_can_be_resized():
    assert remote_streams(stdin=True, stdout=True, stderr=True, tty=True) == (
        "error",
        "stdin",
        "stdout",
        "resize",
    )
    assert remote_streams(stdin=False, stdout=True, stderr=True, tty=False) == ("error", "stdout", "stderr")

"""Channels of exec, attach and port-forward over WebSocket: message framing, resize, close, the final Status. Sans I/O.

A message is one byte of channel and its data (base64 variants: a digit and base64 text). v4 and later end with a Status on the error
channel, v5 can close a channel, which is how the end of stdin reaches the process.

Source: k8s.io/apimachinery/pkg/util/remotecommand/constants.go, k8s.io/apiserver/pkg/endpoints/... StreamTranslator v0.35;
api-machinery.md §1.16.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject

V1: Final = "channel.k8s.io"
V2: Final = "v2.channel.k8s.io"
V3: Final = "v3.channel.k8s.io"
V4: Final = "v4.channel.k8s.io"
V5: Final = "v5.channel.k8s.io"
BASE64_V1: Final = "base64.channel.k8s.io"
BASE64_V4: Final = "v4.base64.channel.k8s.io"
WEBSOCKET_PROTOCOLS: Final = (V5, V4, V3, V2, V1, BASE64_V4, BASE64_V1)
PORT_FORWARD_TUNNEL: Final = "SPDY/3.1+portforward.k8s.io"

SPDY_UPGRADE: Final = "SPDY/3.1"
STREAM_VERSION_HEADER: Final = "X-Stream-Protocol-Version"
STREAM_TYPE: Final = "streamType"
PORT: Final = "port"
REQUEST_ID: Final = "requestID"


class Channel(IntEnum):
    """First byte of a message."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    ERROR = 3
    RESIZE = 4
    CLOSE = 255


class ChannelError(ValueError):
    """A message that is none of this protocol."""


@dataclass(frozen=True, slots=True)
class Message:
    """Data of a channel; channel CLOSE: `data` holds the number of the channel that ends."""

    channel: int
    data: bytes


def choose_protocol(offered: Sequence[str]) -> str | None:
    """Return the best subprotocol that the client offered; "" when it offered none (plain v1), None when none fits."""
    if not offered:
        return ""
    return next((one for one in WEBSOCKET_PROTOCOLS if one in offered), None)


def is_base64(protocol: str) -> bool:
    """Say whether messages are text."""
    return "base64" in protocol


def has_status(protocol: str) -> bool:
    """Say whether the error channel carries a Status (v4 and later), not a line of text."""
    return protocol.startswith(("v4.", "v5."))


def encode_message(protocol: str, channel: int, data: bytes) -> bytes:
    """Return a message's payload; a text message when `is_base64`."""
    if is_base64(protocol):
        return str(int(channel)).encode() + base64.b64encode(data)
    return bytes((channel,)) + data


def decode_message(protocol: str, payload: bytes) -> Message:
    """Read a message.

    Raises:
        ChannelError: empty, not base64, or CLOSE in a protocol without it.
    """
    if not payload:
        raise ChannelError("empty message")
    if is_base64(protocol):
        try:
            return Message(int(payload[:1]), base64.b64decode(payload[1:], validate=True))
        except (binascii.Error, ValueError) as error:
            raise ChannelError("message is not base64") from error
    channel = payload[0]
    if channel == Channel.CLOSE and protocol != V5:
        raise ChannelError(f"channel {channel} is not part of {protocol or V1}")
    return Message(channel, payload[1:])


def make_resize(width: int, height: int) -> bytes:
    """Return the data of a resize message."""
    return orjson.dumps({"Width": width, "Height": height})


def make_success() -> bytes:
    """Return the Status of a command that exited 0."""
    return orjson.dumps({"metadata": {}, "status": "Success"})


def make_exit_status(exit_code: int) -> JsonObject:
    """Return the Status of a command that exited with another code."""
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {exit_code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(exit_code)}]},
    }


def make_failure(message: str) -> bytes:
    """Return the Status of a stream that broke."""
    return orjson.dumps(
        {
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": "InternalError",
            "details": {"causes": [{"message": message}]},
            "code": 500,
        }
    )


def error_for(protocol: str, status: bytes) -> bytes:
    """Return what the error channel of `protocol` says for a Status of the runtime; b"" = nothing."""
    if has_status(protocol) or not status:
        return status
    try:
        document = orjson.loads(status)
    except orjson.JSONDecodeError:
        return status
    if document.get("status") == "Success":
        return b""
    return str(document.get("message", "")).encode()


def remote_streams(*, stdin: bool, stdout: bool, stderr: bool, tty: bool) -> tuple[str, ...]:
    """Return the streams to open towards the runtime, in the order in which clients open them."""
    wanted = (
        ("error", True),
        ("stdin", stdin),
        ("stdout", stdout),
        ("stderr", stderr and not tty),
        ("resize", tty),
    )
    return tuple(name for name, opened in wanted if opened)

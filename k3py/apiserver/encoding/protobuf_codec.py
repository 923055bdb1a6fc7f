"""Kubernetes' protobuf for bodies and answers: the envelope and, for watches, the frames around it."""

from __future__ import annotations

import importlib
import struct
from typing import TYPE_CHECKING

from k3py.api.status import ApiError, bad_request

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

kubernetes_protobuf = importlib.import_module("k3py.wire.kubernetes_protobuf")


def decode(body: bytes) -> JsonObject:
    """Return the object in an envelope. Raises ApiError 400."""
    try:
        found: JsonObject = kubernetes_protobuf.decode_object(body)
    except (ValueError, KeyError, IndexError) as error:
        raise bad_request(
            f"the object provided is unrecognized (must be of type protobuf): {error}"
        ) from error
    return found


def encode(document: JsonObject) -> bytes:
    """Return the object in its envelope. Raises ApiError 406 for types without such a form."""
    try:
        encoded: bytes = kubernetes_protobuf.encode_object(document)
    except KeyError as error:
        raise ApiError(
            406, "NotAcceptable", f"object {document.get('kind')!r} cannot be encoded as protobuf"
        ) from error
    return encoded


def frame_event(event_type: str, document: JsonObject) -> bytes:
    """Return one watch event: a big-endian length and a WatchEvent whose object's raw bytes are an envelope of their own."""
    raw = encode(document)
    extension = _field(1, raw)
    event = _field(1, event_type.encode()) + _field(2, extension)
    return struct.pack(">I", len(event)) + event


def _field(number: int, payload: bytes) -> bytes:
    head = bytearray(((number << 3) | 2,))
    length = len(payload)
    while length > 0x7F:
        head.append((length & 0x7F) | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + payload

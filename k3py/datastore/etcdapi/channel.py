"""How messages of etcd go through grpclib, as documents, on both sides."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from grpclib.const import Status
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError

from k3py.wire.etcd_protobuf import load_etcd_messages

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject
    from k3py.wire.protobuf_messages import ProtobufMessages

MAX_REQUEST_BYTES: Final = 1_572_864
"""etcd's --max-request-bytes."""

MAX_RECEIVED_BYTES: Final = MAX_REQUEST_BYTES + (512 << 10)

_WRITES: Final = frozenset(
    f"etcdserverpb.{name}Request" for name in ("Put", "Txn", "DeleteRange", "LeaseGrant", "Compaction")
)


@lru_cache(maxsize=1)
def load_messages() -> ProtobufMessages:
    """Return the messages, loaded at the first call."""
    return load_etcd_messages()


def encode_message(document: JsonObject, name: str) -> bytes:
    """Encode `document` as the message `name`."""
    return load_messages().encode(name, document)


def decode_message(data: bytes, name: str) -> JsonObject:
    """Decode a message.

    Raises:
        GRPCError: a request that is larger than etcd accepts, or cannot be read.
    """
    if len(data) > MAX_REQUEST_BYTES and name.endswith("Request"):
        if len(data) > MAX_RECEIVED_BYTES:
            text = f"grpc: received message larger than max ({len(data)} vs. {MAX_RECEIVED_BYTES})"
            raise GRPCError(Status.RESOURCE_EXHAUSTED, text)
        if name in _WRITES:
            raise GRPCError(Status.INVALID_ARGUMENT, "etcdserver: request is too large")
    return load_messages().decode(name, data)


class MessageCodec(CodecBase):
    """Documents by message name (grpclib's "type"), bytes as they are under the name ""."""

    __content_subtype__ = "proto"

    @staticmethod
    def messages() -> ProtobufMessages:
        """Return the messages, loaded at the first call."""
        return load_messages()

    def encode(self, message: Any, message_type: str) -> bytes:
        """Encode `message`."""
        return bytes(message) if not message_type else encode_message(message, message_type)

    def decode(self, data: bytes, message_type: str) -> Any:
        """Decode `data`."""
        return data if not message_type else decode_message(data, message_type)

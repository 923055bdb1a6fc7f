"""The grpc probe: grpc.health.v1.Health/Check. Source: pkg/probe/grpc/grpc.go v1.35; github.com/grpc/grpc health.proto."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError, StreamTerminatedError

from k3py.kubelet.handlers import HandlerFailed
from k3py.wire.varint import put_varint

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject
    from k3py.kubelet.handlers import Target

_SERVING: Final = b"\x08\x01"
_STATES: Final = {
    b"": "UNKNOWN",
    b"\x08\x00": "UNKNOWN",
    b"\x08\x02": "NOT_SERVING",
    b"\x08\x03": "SERVICE_UNKNOWN",
}


class _Raw(CodecBase):
    """Messages as bytes."""

    __content_subtype__ = "proto"

    def encode(self, message: bytes, message_type: type) -> bytes:
        return message

    def decode(self, data: bytes, message_type: type) -> bytes:
        return data


async def run_grpc(action: JsonObject, target: Target, *, timeout_s: float) -> str:
    """Ask for the health of a service. Raises HandlerFailed unless it is SERVING."""
    service = (action.get("service") or "").encode()
    request = bytearray()
    if service:
        request.append(0x0A)
        put_varint(request, len(service))
        request += service
    channel = Channel(target.pod_ip, int(action["port"]), codec=_Raw())
    method = UnaryUnaryMethod(channel, "/grpc.health.v1.Health/Check", bytes, bytes)
    try:
        async with asyncio.timeout(timeout_s):
            answer = await method(bytes(request))
    except TimeoutError as error:
        raise HandlerFailed(f"timeout: failed to connect service within {timeout_s:g}s") from error
    except (GRPCError, StreamTerminatedError, OSError) as error:
        raise HandlerFailed(f"error: health rpc probe failed: {error}") from error
    finally:
        channel.close()
    if answer != _SERVING:
        raise HandlerFailed(f"service unhealthy (responded with {_STATES.get(answer, repr(answer))})")
    return "service healthy"

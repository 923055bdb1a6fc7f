"""A plugin of the kubelet: what it makes itself known with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.kubelet.plugins.server import serve_socket
from k3py.runtime.errors import RuntimeFailure

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.plugins.server import Answer

REGISTRATION = "/pluginregistration.Registration/"
serve_plugin = serve_socket


def refusal(code: str, message: str) -> RuntimeFailure:
    """Return what a method raises to answer with a gRPC status."""
    made = RuntimeFailure(message)
    made.code = code
    return made


def registration(
    kind: str, name: str, endpoint: Path, versions: list[str], told: list[JsonObject]
) -> dict[str, Answer]:
    """Return the methods by which a plugin makes itself known; `told`: what the kubelet answers."""

    async def get_info(_: JsonObject) -> JsonObject:
        return {"type": kind, "name": name, "endpoint": str(endpoint), "supported_versions": versions}

    async def notify(request: JsonObject) -> JsonObject:
        told.append(request)
        return {}

    return {REGISTRATION + "GetInfo": get_info, REGISTRATION + "NotifyRegistrationStatus": notify}

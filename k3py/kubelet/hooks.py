"""postStart and preStop hooks. Source: pkg/kubelet/lifecycle/handlers.go v1.35."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from k3py.kubelet.handlers import HandlerFailed, run_exec, run_http_get, run_tcp_socket

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject
    from k3py.kubelet.handlers import Target

_HTTP_TIMEOUT_S: Final = 30.0


def find_hook(container: JsonObject, name: str) -> JsonObject | None:
    """Return the hook "postStart" or "preStop" of a container."""
    found: JsonObject | None = (container.get("lifecycle") or {}).get(name)
    return found


async def run_hook(hook: JsonObject, target: Target) -> None:
    """Run a hook to its end; the caller limits its time.

    Raises:
        HandlerFailed: it failed.
    """
    if "exec" in hook:
        await run_exec(hook["exec"], target, timeout_s=0)
    elif "httpGet" in hook:
        await run_http_get(hook["httpGet"], target, timeout_s=_HTTP_TIMEOUT_S)
    elif "tcpSocket" in hook:
        await run_tcp_socket(hook["tcpSocket"], target, timeout_s=_HTTP_TIMEOUT_S)
    elif "sleep" in hook:
        await asyncio.sleep(float(hook["sleep"]["seconds"]))
    else:
        raise HandlerFailed("invalid handler")

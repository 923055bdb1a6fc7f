"""The actions that probes and hooks share: exec, httpGet, tcpSocket, sleep.

Source: pkg/kubelet/lifecycle/handlers.go, pkg/kubelet/prober/prober.go, pkg/probe v1.35.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3py.errors import K3pyError
from k3py.kubelet.http_get import HttpGetError, http_get
from k3py.runtime.errors import RuntimeFailure, RuntimeTimeout

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject, JsonValue
    from k3py.runtime.interface import RuntimeService


class HandlerFailed(K3pyError):
    """An action that ran and failed, or could not run; the message says what came out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The container that an action is for."""

    runtime: RuntimeService
    container_id: str
    container: JsonObject
    pod_ip: str


async def run_exec(action: JsonObject, target: Target, *, timeout_s: float) -> str:
    """Run a command in the container and return its output. Raises HandlerFailed unless it exits 0."""
    command = list(action.get("command") or ())
    try:
        result = await target.runtime.exec_sync(target.container_id, command, timeout_s=round(timeout_s))
    except RuntimeTimeout as error:
        raise HandlerFailed(
            f"command timed out: {' '.join(command)} timed out after {timeout_s:g}s"
        ) from error
    except RuntimeFailure as error:
        raise HandlerFailed(str(error)) from error
    output = (result.stdout + result.stderr)[: 10 * 1024].decode("utf-8", "replace")
    if result.exit_code != 0:
        raise HandlerFailed(output or f"command exited with {result.exit_code}")
    return output


async def run_http_get(action: JsonObject, target: Target, *, timeout_s: float) -> str:
    """GET a path of the container. Raises HandlerFailed unless the status is 200-399."""
    port = resolve_port(action["port"], target.container)
    headers = [(one["name"], one.get("value", "")) for one in action.get("httpHeaders") or ()]
    try:
        answer = await http_get(
            host=action.get("host") or target.pod_ip,
            port=port,
            path=action.get("path") or "/",
            tls=(action.get("scheme") or "HTTP").upper() == "HTTPS",
            headers=headers,
            timeout_s=timeout_s,
        )
    except HttpGetError as error:
        raise HandlerFailed(str(error)) from error
    if not 200 <= answer.status < 400:
        raise HandlerFailed(f"HTTP probe failed with statuscode: {answer.status}")
    return answer.body.decode("utf-8", "replace")


async def run_tcp_socket(action: JsonObject, target: Target, *, timeout_s: float) -> str:
    """Open a connection. Raises HandlerFailed when that fails."""
    host = action.get("host") or target.pod_ip
    port = resolve_port(action["port"], target.container)
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError as error:
        raise HandlerFailed(f"dial tcp {host}:{port}: i/o timeout") from error
    except ConnectionRefusedError as error:
        raise HandlerFailed(f"dial tcp {host}:{port}: connect: connection refused") from error
    except OSError as error:
        raise HandlerFailed(f"dial tcp {host}:{port}: {error.strerror or error}") from error
    writer.close()
    return ""


def resolve_port(port: JsonValue, container: JsonObject) -> int:
    """Return a port number; a name is looked up in the container's ports. Raises HandlerFailed."""
    if isinstance(port, int) or str(port).isdigit():
        return int(port)
    for one in container.get("ports") or ():
        if one.get("name") == port:
            return int(one["containerPort"])
    raise HandlerFailed(f"couldn't find port: {port} in the container {container['name']}")

"""`port-forward TYPE/NAME [LOCAL:]PORT…`: a WebSocket for each connection, whose channels 0 and 1 carry data and errors.

Source: k8s.io/kubelet/pkg/cri/streaming/portforward/websocket.go v0.35 (v4.channel.k8s.io); kubectl v0.35 pkg/cmd/portforward.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from k3py.api.resource import PODS
from k3py.api.status import ApiError
from k3py.cli.kubectl.pod_choice import find_pod
from k3py.errors import ConfigError, K3pyError
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    import argparse

    from k3py.cli.kubectl.session import Session
    from k3py.jsontypes import JsonObject

_PROTOCOL: Final = "v4.channel.k8s.io"
_DATA, _ERROR = 0, 1
_PREFIX_BYTES: Final = 2  # each channel begins with the port
_CHUNK: Final = 32768


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "port-forward", parents=[common], help="lead local ports to a pod", allow_abbrev=False
    )
    parser.add_argument("target", metavar="TYPE/NAME")
    parser.add_argument("ports", nargs="+", metavar="[LOCAL:]PORT")
    parser.add_argument("--address", default="localhost", help="addresses to listen on, with commas between")
    parser.set_defaults(run=run)


async def run(session: Session, options: argparse.Namespace) -> int:
    """Listen and forward until interrupted."""
    obj, pod = await find_pod(session, options.target)
    name = pod["metadata"]["name"]
    if pod["status"].get("phase") != "Running":
        raise K3pyError(
            f"unable to forward port because pod is not running. Current status={pod['status'].get('phase')}"
        )
    async with TaskScope() as scope:
        servers: list[asyncio.Server] = []
        for text in options.ports:
            local, remote = _read_ports(text, obj, pod)

            async def serve(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, remote: int = remote
            ) -> None:
                await _forward(session, name, remote, reader, writer)

            for host in _hosts(options.address):
                try:
                    server = await asyncio.start_server(serve, host, local)
                except OSError as error:
                    if host == "::1" and servers:
                        continue
                    raise K3pyError(f"unable to listen on port {local}: {error.strerror}") from error
                servers.append(server)
                local = server.sockets[0].getsockname()[1]
                shown = f"[{host}]" if ":" in host else host
                print(f"Forwarding from {shown}:{local} -> {remote}", flush=True)
        for server in servers:
            _ = scope.spawn(server.serve_forever(), name="port-forward")
        await asyncio.Event().wait()
    return 0


def _hosts(addresses: str) -> list[str]:
    found: list[str] = []
    for one in addresses.split(","):
        found += ["127.0.0.1", "::1"] if one == "localhost" else [one]
    return [one for one in found if one != "::1" or socket.has_ipv6]


def _read_ports(text: str, obj: JsonObject, pod: JsonObject) -> tuple[int, int]:
    """Return the local port and the pod's; a Service's port is looked up."""
    first, colon, second = text.partition(":")
    word = second if colon else first
    port = _service_port(obj, pod, word) if obj.get("kind") == "Service" else _named_port(pod, word)
    local = first if colon else word
    if local == "":
        return 0, port
    if not local.isdecimal():
        return port, port
    return int(local), port


def _service_port(service: JsonObject, pod: JsonObject, word: str) -> int:
    for one in service["spec"].get("ports") or ():
        if word in (one.get("name"), str(one["port"])):
            target = one.get("targetPort", one["port"])
            if service["spec"].get("clusterIP") == "None":
                target = one["port"]
            return int(target) if isinstance(target, int) else _named_port(pod, target)
    raise K3pyError(f"Service {service['metadata']['name']} does not have a service port {word}")


def _named_port(pod: JsonObject, word: str) -> int:
    if word.isdecimal() and 0 < int(word) < 1 << 16:
        return int(word)
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            if port.get("name") == word:
                return int(port["containerPort"])
    raise ConfigError(f"error parsing port {word!r}: must be a number or the name of a port of the pod")


async def _forward(
    session: Session, pod: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    print(f"Handling connection for {writer.get_extra_info('sockname')[1]}", flush=True)
    path = PODS.path(session.namespace, pod, "portforward")
    try:
        async with (
            session.client.web_socket(path, query=[("ports", str(port))], protocols=(_PROTOCOL,)) as remote,
            TaskScope() as scope,
        ):
            _ = scope.spawn(_send(remote, reader), name="port-forward-send")
            try:
                await _receive(remote, writer)
            finally:
                scope.cancel()
    except (ApiError, aiohttp.ClientError, ConnectionError) as error:
        print(f"an error occurred forwarding {port} -> {port}: {error}", flush=True)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def _send(remote: aiohttp.ClientWebSocketResponse, reader: asyncio.StreamReader) -> None:
    while chunk := await reader.read(_CHUNK):
        await remote.send_bytes(bytes((_DATA,)) + chunk)


async def _receive(remote: aiohttp.ClientWebSocketResponse, writer: asyncio.StreamWriter) -> None:
    begun = {_DATA: b"", _ERROR: b""}
    async for message in remote:
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        missing = _PREFIX_BYTES - len(begun[channel])
        begun[channel] += data[:missing]
        data = data[missing:] if missing > 0 else data
        if not data:
            continue
        if channel == _ERROR:
            raise ConnectionError(data.decode(errors="replace"))
        writer.write(data)
        await writer.drain()

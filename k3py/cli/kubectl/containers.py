"""`logs POD`, `exec POD -- COMMAND` and `attach POD`.

exec speaks v5.channel.k8s.io over a WebSocket: a byte for the channel (0 in, 1 out, 2 err, 3 outcome, 4 size, 255 close) and data.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import termios
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from k3py.api.resource import PODS
from k3py.api.status import ApiError
from k3py.cli.kubectl.output import write
from k3py.cli.kubectl.pod_choice import find_pod
from k3py.errors import ConfigError, K3pyError
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from k3py.cli.kubectl.session import Session

_STDIN, _STDOUT, _STDERR, _OUTCOME, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_PROTOCOL: Final = "v5.channel.k8s.io"
_CHUNK: Final = 32768


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add both commands."""
    logs = commands.add_parser("logs", parents=[common], help="print a container's log", allow_abbrev=False)
    logs.add_argument("pod")
    logs.add_argument("-c", "--container", default="")
    logs.add_argument("-f", "--follow", action="store_true")
    logs.add_argument("-p", "--previous", action="store_true")
    logs.add_argument("--tail", type=int, default=-1, metavar="LINES")
    logs.add_argument("--timestamps", action="store_true")
    logs.set_defaults(run=run_logs)
    for name, help_text, run in (
        ("exec", "run a command in a container", run_exec),
        ("attach", "attach to a container", run_attach),
    ):
        stream = commands.add_parser(name, parents=[common], help=help_text, allow_abbrev=False)
        stream.add_argument("pod")
        stream.add_argument("-c", "--container", default="")
        stream.add_argument("-i", "--stdin", action="store_true")
        stream.add_argument("-t", "--tty", action="store_true")
        stream.set_defaults(run=run)


async def _pod_name(session: Session, word: str) -> str:
    """Return the pod that is meant by its name, or by what it belongs to."""
    if "/" not in word:
        return word
    name: str = (await find_pod(session, word))[1]["metadata"]["name"]
    return name


async def _default_container(session: Session, name: str) -> str:
    """Return the container that is meant when none is named; says so on standard error when there are several.

    Source: kubectl v0.35 pkg/cmd/util/podcmd.
    """
    pod = await session.client.get(PODS, name, namespace=session.namespace)
    names: list[str] = [one["name"] for one in pod["spec"]["containers"]]
    chosen: str = (pod["metadata"].get("annotations") or {}).get(
        "kubectl.kubernetes.io/default-container", ""
    )
    if chosen not in names:
        chosen = names[0]
        if len(names) > 1:
            print(f'Defaulted container "{chosen}" out of: {", ".join(names)}', file=sys.stderr)
    return chosen


async def run_attach(session: Session, options: argparse.Namespace) -> int:
    """Attach to a container."""
    name = await _pod_name(session, options.pod)
    container = options.container or await _default_container(session, name)
    return await attach(session, name, container, stdin=options.stdin, tty=options.tty)


async def run_logs(session: Session, options: argparse.Namespace) -> int:
    """Print a log."""
    name = await _pod_name(session, options.pod)
    try:
        query = {"container": options.container or await _default_container(session, name)}
    except ApiError as error:
        if error.code != 404:
            raise
        place = session.namespace
        raise K3pyError(f'error from server (NotFound): {error.message} in namespace "{place}"') from error
    for flag in ("follow", "previous", "timestamps"):
        if getattr(options, flag):
            query[flag] = "true"
    if options.tail >= 0:
        query["tailLines"] = str(options.tail)
    path = PODS.path(session.namespace, name, "log")
    async with session.client.stream(path, query=query) as content:
        async for chunk in content.iter_any():
            write(chunk)
    return 0


async def run_exec(session: Session, options: argparse.Namespace) -> int:
    """Run a command and return its exit code."""
    if not options.after:
        raise ConfigError("you must specify at least one command for the container, behind `--`")
    query = [("command", one) for one in options.after] + [("stdout", "true")]
    query += [("stderr", "false" if options.tty else "true")]
    query += [(name, "true") for name in ("stdin", "tty") if getattr(options, name)]
    name = await _pod_name(session, options.pod)
    query.append(("container", options.container or await _default_container(session, name)))
    return await _stream(session, name, "exec", query, stdin=options.stdin, tty=options.tty)


async def attach(session: Session, pod: str, container: str, *, stdin: bool, tty: bool) -> int:
    """Attach to what runs in a container, until it ends."""
    query = [("container", container), ("stdout", "true"), ("stderr", "false" if tty else "true")]
    query += [(name, "true") for name, on in (("stdin", stdin), ("tty", tty)) if on]
    return await _stream(session, pod, "attach", query, stdin=stdin, tty=tty)


async def exec_command(
    session: Session,
    pod: str,
    container: str,
    command: Sequence[str],
    *,
    output: Callable[[bytes], object],
    data: bytes | None = None,
    quiet: bool = False,
) -> int:
    """Run a command with `data` as its input, hand its output over, and return its exit code."""
    container = container or await _default_container(session, pod)
    query = [("command", one) for one in command] + [
        ("stdout", "true"),
        ("stderr", "true"),
        ("container", container),
    ]
    if data is not None:
        query.append(("stdin", "true"))
    path = PODS.path(session.namespace, pod, "exec")
    async with (
        session.client.web_socket(path, query=query, protocols=(_PROTOCOL,)) as socket,
        TaskScope() as scope,
    ):
        if data is not None:
            _ = scope.spawn(_send_all(socket, data), name="stdin")
        try:
            return await _receive(socket, output=output, quiet=quiet)
        finally:
            scope.cancel()


async def _send_all(socket: aiohttp.ClientWebSocketResponse, data: bytes) -> None:
    for at in range(0, len(data), _CHUNK):
        await socket.send_bytes(bytes((_STDIN,)) + data[at : at + _CHUNK])
    await socket.send_bytes(bytes((_CLOSE, _STDIN)))


async def _stream(
    session: Session, pod: str, subresource: str, query: Sequence[tuple[str, str]], *, stdin: bool, tty: bool
) -> int:
    path = PODS.path(session.namespace, pod, subresource)
    async with session.client.web_socket(path, query=query, protocols=(_PROTOCOL,)) as socket:
        with _raw_terminal(enabled=tty and stdin and sys.stdin.isatty()):
            async with TaskScope() as scope:
                if tty and sys.stdin.isatty():
                    await _send_size(socket)
                if stdin:
                    _ = scope.spawn(_send_input(socket), name="stdin")
                try:
                    return await _receive(socket)
                finally:
                    scope.cancel()


async def _send_size(socket: aiohttp.ClientWebSocketResponse) -> None:
    size = shutil.get_terminal_size()
    text = json.dumps({"Width": size.columns, "Height": size.lines})
    await socket.send_bytes(bytes((_RESIZE,)) + text.encode())


async def _send_input(socket: aiohttp.ClientWebSocketResponse) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(0), "rb", 0))
    while chunk := await reader.read(_CHUNK):
        await socket.send_bytes(bytes((_STDIN,)) + chunk)
    await socket.send_bytes(bytes((_CLOSE, _STDIN)))


async def _receive(
    socket: aiohttp.ClientWebSocketResponse, *, output: Callable[[bytes], object] = write, quiet: bool = False
) -> int:
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if channel == _OUTCOME:
            return _read_outcome(data, quiet=quiet)
        if channel == _STDOUT:
            output(data)
        elif channel == _STDERR and not quiet:
            write(data, to_stderr=True)
    raise K3pyError("the connection ended before the command did")


def _read_outcome(data: bytes, *, quiet: bool = False) -> int:
    status = json.loads(data)
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or ():
        if cause.get("reason") == "ExitCode":
            if not quiet:
                print(f"command terminated with exit code {cause['message']}", file=sys.stderr)
            return int(cause["message"])
    raise K3pyError(status.get("message") or "the command failed")


@contextmanager
def _raw_terminal(*, enabled: bool) -> Iterator[None]:
    if not enabled:
        yield
        return
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)

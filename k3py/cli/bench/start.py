"""`bench start`: stops a service and starts it again, and times the way to a ready API, a ready node and a running pod."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from typing import TYPE_CHECKING, Final

from k3py.api.resource import NODES, PODS
from k3py.api.status import ApiError
from k3py.cli.bench.figure import Figure
from k3py.cli.bench.namespace import find_image
from k3py.errors import K3pyError
from k3py.util import clock

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

    from k3py.client.http import HttpClient
    from k3py.client.kubeconfig import Kubeconfig
    from k3py.jsontypes import JsonObject

_LIMIT_S: Final = 300.0
_EVERY_S: Final = 0.02


async def measure_start(options: argparse.Namespace, config: Kubeconfig) -> list[Figure]:
    """Restart; pods that ran go on where the service leaves them.

    Raises:
        K3pyError: a command fails, or the server does not come back.
    """
    async with config.make_client(user_agent="k3py-bench") as client:
        image = options.image or await find_image(client)
        nodes = {one["metadata"]["name"] for one in (await client.list(NODES)).items}
    await _run(options.stop or f"systemctl stop {options.service}")
    began = clock.monotonic_s()
    before = clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    await _run(options.start or f"systemctl start {options.service}")
    async with config.make_client(user_agent="k3py-bench") as client:
        figures = [Figure("start to /readyz", await _until(began, lambda: _is_ready(client), "/readyz"), "s")]
        figures.append(
            Figure(
                "start to all nodes shown Ready",
                await _until(began, lambda: _nodes_ready(client, nodes, before), "Ready nodes"),
                "s",
            )
        )
        name = f"k3py-bench-{int(clock.wall_s())}"
        spec = {
            "containers": [{"name": "c", "image": image, "imagePullPolicy": "IfNotPresent"}],
            "terminationGracePeriodSeconds": 0,
        }
        await _until(
            began, lambda: _create(client, {"metadata": {"name": name}, "spec": spec}), "creating a pod"
        )
        try:
            figures.append(
                Figure(
                    "start to a new pod running",
                    await _until(began, lambda: _is_running(client, name), "a running pod"),
                    "s",
                    f"image {image}",
                )
            )
        finally:
            await client.delete(PODS, name, namespace="default")
    return figures


async def _run(command: str) -> None:
    words = shlex.split(command)
    try:
        process = await asyncio.create_subprocess_exec(*words, stdin=asyncio.subprocess.DEVNULL)
    except OSError as error:
        raise K3pyError(f"{words[0]}: {error.strerror}") from error
    if await process.wait():
        raise K3pyError(f"{command!r} ended with code {process.returncode}")


async def _until(began: float, holds: Callable[[], Awaitable[bool]], what: str) -> float:
    """Ask until it is so; return seconds since `began`. A server that starts has nothing to watch yet."""
    while clock.monotonic_s() - began < _LIMIT_S:
        with contextlib.suppress(ApiError):
            if await holds():
                return clock.monotonic_s() - began
        await asyncio.sleep(_EVERY_S)
    raise K3pyError(f"{what}: not within {_LIMIT_S:.0f} s")


async def _is_ready(client: HttpClient) -> bool:
    async with client.stream("/readyz") as content:
        return (await content.read()) == b"ok"


async def _nodes_ready(client: HttpClient, names: set[str], since: str) -> bool:
    """Whether all nodes are Ready and were heard of since the start."""
    found = {}
    for node in (await client.list(NODES)).items:
        ready: JsonObject = next(
            (one for one in node["status"].get("conditions") or () if one["type"] == "Ready"), {}
        )
        found[node["metadata"]["name"]] = (
            ready.get("status") == "True" and str(ready.get("lastHeartbeatTime", "")) >= since[:16]
        )
    return all(found.get(name) for name in names)


async def _create(client: HttpClient, pod: JsonObject) -> bool:
    await client.create(PODS, pod, namespace="default")
    return True


async def _is_running(client: HttpClient, name: str) -> bool:
    pod = await client.get(PODS, name, namespace="default")
    return any("running" in (one.get("state") or {}) for one in pod["status"].get("containerStatuses") or ())
